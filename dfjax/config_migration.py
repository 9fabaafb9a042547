"""Reads configs saved by earlier versions: their names and keys in today's words.

Each step below takes the nested dict of a `config.json` and changes it in place. Add one for every
key or value that a schema change renames, so that old workdirs can still be loaded.
"""

import copy
from collections.abc import Callable
from typing import Any

AUGMENT_PRESETS = {
    "minimal": "flip",
    "s2": "jitter_erase",
    "s3": "affine_brightness",
    "s4": "crop_jitter",
}
"""Today's names of augmentation presets, by their earlier ones."""


def migrate(values: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a saved config in which everything that was renamed has today's name.

    Args:
        values: Content of `config.json`, or of a checkpoint's metadata.
    """
    migrated = copy.deepcopy(values)
    for step in STEPS:
        step(migrated)
    return migrated


def _rename_augment_preset(values: dict[str, Any]) -> None:
    augment = values.get("augment")
    if isinstance(augment, dict) and augment.get("preset") in AUGMENT_PRESETS:
        augment["preset"] = AUGMENT_PRESETS[augment["preset"]]


STEPS: tuple[Callable[[dict[str, Any]], None], ...] = (_rename_augment_preset,)
