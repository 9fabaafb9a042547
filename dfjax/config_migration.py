"""Converts configs that were saved by earlier versions to the current schema.

Each step below changes the nested dict of a `config.json` in place. Every change of the schema that
renames a key or value needs a step, so that old workdirs can still be loaded.
"""

import copy
from collections.abc import Callable
from typing import Any

from dfjax.import_paths import is_import_path
from dfjax.schema import ADAPTER

AUGMENT_PRESETS = {
    "minimal": "flip",
    "s2": "jitter_erase",
    "s3": "affine_brightness",
    "s4": "crop_jitter",
}
"""Current names of augmentation presets, by their earlier names."""

EARLIER_DEEPFAKEBENCH = {
    "rotate": (0.5, -10.0, 10.0),
    "flip": (0.5,),
    "brightness": (0.5, 0.9, 1.1),
    "offset": (0.5, -0.1, 0.1),
    "blur": (0.5, 0.8, 1.4, 7),
    "jpeg": (0.5, 40.0, 100.0),
}
"""The preset `deepfakebench` before `augment.one_of` existed, with too strong colour changes."""

LOSS_OPTIONS = {
    "smoothing": ("bce", "cross_entropy", "focal"),
    "gamma": ("focal",),
    "alpha": ("focal",),
    "temperature": ("supcon",),
}
"""Earlier keys of `loss`, with the losses that used them."""

EARLIER_ADAPTED = ("attention/(query|key|value|output)/kernel$",)
"""The default of `adapter.kernels` that the encoder of `transformer_head` matched too."""


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
    if isinstance(augment, dict) and isinstance(augment.get("preset"), str):
        augment["preset"] = AUGMENT_PRESETS.get(augment["preset"], augment["preset"])


def _write_out_earlier_deepfakebench(values: dict[str, Any]) -> None:
    """Writes out the operations of the earlier preset, so that a run keeps them when it resumes."""
    augment = values.get("augment")
    if not isinstance(augment, dict) or "one_of" in augment:
        return
    if augment.get("preset") == "deepfakebench":
        augment["preset"] = "none"
        for name, numbers in EARLIER_DEEPFAKEBENCH.items():
            given = augment.get(name, ())
            if isinstance(given, list | tuple):  # anything else is refused when it is checked
                augment[name] = (*given, *numbers[len(given) :])


def _nest_loss_options(values: dict[str, Any]) -> None:
    """Moves the options of a loss, earlier keys of `loss`, into the section of the loss."""
    loss = values.get("loss")
    if not isinstance(loss, dict) or not isinstance(loss.get("name"), str):
        return
    flat = {key: loss.pop(key) for key in LOSS_OPTIONS if key in loss}
    taken = [key for key, names in LOSS_OPTIONS.items() if loss.get("name") in names]
    options = {key: flat[key] for key in taken if key in flat}
    given = loss.get(loss["name"], {})
    if options and isinstance(given, dict):
        loss[loss["name"]] = options | given


def _name_remat_policies(values: dict[str, Any]) -> None:
    """Replaces the earlier truth values of `remat` by the names of policies."""
    model = values.get("model")
    for section in model.values() if isinstance(model, dict) else ():
        if isinstance(section, dict) and isinstance(section.get("remat"), bool):
            section["remat"] = "all" if section["remat"] else "none"


def _narrow_adapted_kernels(values: dict[str, Any]) -> None:
    """Replaces the earlier default of `adapter.kernels` where today's is equal to it."""
    adapter, model = values.get("adapter"), values.get("model")
    if not isinstance(adapter, dict) or not isinstance(model, dict):
        return
    options = model.get("frame_classifier")
    backbone = options.get("backbone") if isinstance(options, dict) else None
    ours = isinstance(backbone, str) and not is_import_path(backbone)  # others name their blocks
    equal = adapter.get("name") == "none" or (model.get("name") == "frame_classifier" and ours)
    kernels = adapter.get("kernels")
    if equal and isinstance(kernels, list | tuple) and tuple(kernels) == EARLIER_ADAPTED:
        adapter["kernels"] = ADAPTER["kernels"]


STEPS: tuple[Callable[[dict[str, Any]], None], ...] = (
    _rename_augment_preset,
    _write_out_earlier_deepfakebench,
    _nest_loss_options,
    _name_remat_policies,
    _narrow_adapted_kernels,
)
