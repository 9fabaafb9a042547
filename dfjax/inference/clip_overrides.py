"""Which arguments make the clips of an input otherwise than those of the training data."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from dfjax.experiment.run_data import find_recipe


def list_overrides(config: ConfigDict, options: Mapping[str, Any]) -> list[str]:
    """Returns the arguments by which clips are made otherwise than those of the training data.

    Args:
        config: Config of the detector.
        options: Arguments of `make_settings`; None where an argument is not given.
    """
    recipe, made = find_recipe(config), {"clips": config.data.eval_clips}
    if recipe is not None:
        made |= {"face_detector": recipe.detector, "margin": recipe.margin, "align": recipe.align}
    cutting = ("clips", "face_detector", "margin", "align")
    given = {name: options[name] for name in cutting if options.get(name) is not None}
    return [name for name, value in given.items() if name not in made or made[name] != value]
