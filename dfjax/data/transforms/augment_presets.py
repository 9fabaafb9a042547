"""Presets of augmentation, and what a config makes of them.

`config.augment` names a preset and may override each operation's values, or the group.

| preset | source |
|---|---|
| `jitter_erase` | published for `efficientnet_b4`; areas and ratios of erasing: Zhong et al. 2020 |
| `affine_brightness` | operations published for `efficientnet_b4_380`; the ranges are ours |
| `crop_jitter` | published for `resnet18_bilstm`, `hybrid`; crop, saturation, hue, blur: ours |
| `deepfakebench` | DeepfakeBench's `efficientnetb4.yaml` and albumentations 1.1.0, of its image |
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dfjax.data.transforms.augment_operations import OPERATIONS, Number, Values, check_values
from dfjax.errors import UsageError, unknown


class OneOf(NamedTuple):
    """A group of operations of which a clip gets one alternative, or none.

    Attributes:
        probability: Chance of a clip to get any of them.
        alternatives: Names of operations; each alternative has the same chance, and its operations
            are then drawn as they would be without the group.
    """

    probability: float
    alternatives: tuple[tuple[str, ...], ...]


class Augmentation(NamedTuple):
    """What is drawn for every clip.

    Attributes:
        operations: Values by name, in the order of application.
        one_of: Group of some of them; None: all are drawn independently.
    """

    operations: dict[str, Values]
    one_of: OneOf | None = None


PRESETS = {
    "none": Augmentation({}),
    "flip": Augmentation({"flip": (0.5,)}),
    "jitter_erase": Augmentation(
        {
            "rotate": (1.0, -15.0, 15.0),
            "translate": (1.0, -0.05, 0.05),
            "flip": (0.5,),
            "brightness": (1.0, 0.8, 1.2),
            "contrast": (1.0, 0.8, 1.2),
            "saturation": (1.0, 0.8, 1.2),
            "hue": (1.0, -0.1, 0.1),
            "blur": (1.0, 0.1, 2.0, 3),
            "erase": (0.1, 0.02, 0.33, 0.3, 3.3),
        }
    ),
    "affine_brightness": Augmentation(
        {
            "rotate": (1.0, -15.0, 15.0),
            "zoom": (1.0, 0.9, 1.1),
            "translate": (1.0, -0.1, 0.1),
            "brightness": (1.0, 0.8, 1.2),
        }
    ),
    "crop_jitter": Augmentation(
        {
            "crop": (1.0, 0.8, 1.0, 0.9, 1.1),
            "rotate": (1.0, -5.0, 5.0),
            "flip": (0.5,),
            "brightness": (1.0, 0.8, 1.2),
            "contrast": (1.0, 0.8, 1.2),
            "saturation": (1.0, 0.8, 1.2),
            "hue": (1.0, -0.05, 0.05),
            "blur": (0.5, 0.1, 1.0, 5),
        }
    ),
    # albumentations' contrast is a factor of all values, and a change of brightness is added. The
    # limits of FancyPCA and HueSaturationValue are its defaults: 20 of OpenCV's 180 hues, 30 and 20
    # of 255. A blur of 3 to 7 taps has the sigma that OpenCV derives from their number.
    "deepfakebench": Augmentation(
        {
            "rotate": (0.5, -10.0, 10.0),
            "flip": (0.5,),
            "brightness": (1.0, 0.9, 1.1),
            "offset": (1.0, -0.1, 0.1),
            "fancy_pca": (1.0, 0.1),
            "hsv": (1.0, 20 / 180, 30 / 255, 20 / 255),
            "blur": (0.5, 0.8, 1.4, 7),
            "jpeg": (0.5, 40.0, 100.0),
        },
        OneOf(0.5, (("brightness", "offset"), ("fancy_pca",), ("hsv",))),
    ),
}


def choose_augmentation(
    preset: str, *, one_of: Sequence[Any] = (), **overrides: Sequence[Number]
) -> Augmentation:
    """Returns what `preset` draws, with `overrides`.

    Args:
        preset: A key of `PRESETS`.
        one_of: Probability and alternatives of the group, each alternative a name or a tuple of
            names; an empty tuple keeps the preset's group, probability 0 dissolves it.
        overrides: Values by operation, or only a probability, which keeps the preset's range; an
            empty tuple keeps the preset's values, probability 0 switches the operation off.

    Raises:
        UsageError: An unknown preset or operation, or values that it cannot take.
    """
    if preset not in PRESETS:
        raise unknown("augment.preset", preset, PRESETS)
    chosen = dict(PRESETS[preset].operations)
    for name, given in overrides.items():
        _check_name(name)
        if given:
            kept = given[1:] or chosen.get(name, ())[1:]
            chosen[name] = tuple(float(number) for number in (given[0], *kept))
    operations = {
        name: check_values(name, chosen[name]) for name in OPERATIONS if chosen.get(name, (0.0,))[0]
    }
    group = _read_group(one_of) if one_of else PRESETS[preset].one_of
    return Augmentation(operations, _without_absent(group, operations))


def _read_group(given: Sequence[Any]) -> OneOf:
    probability, *alternatives = given
    if isinstance(probability, str) or not 0 <= probability <= 1:
        raise UsageError(f"augment.one_of={given}: the first is a probability in [0, 1]")
    group = OneOf(probability, tuple((a,) if isinstance(a, str) else (*a,) for a in alternatives))
    names = [name for alternative in group.alternatives for name in alternative]
    for name in names:
        _check_name(name)
    if len(set(names)) < len(names):
        raise UsageError(f"augment.one_of={given} names an operation twice")
    return group


def _without_absent(group: OneOf | None, operations: dict[str, Values]) -> OneOf | None:
    """The group without what is switched off; None when nothing is left of it."""
    if group is None or not group.probability:
        return None
    kept = [tuple(n for n in names if n in operations) for names in group.alternatives]
    return OneOf(group.probability, tuple(filter(None, kept))) if any(kept) else None


def _check_name(name: str) -> None:
    if name not in OPERATIONS:
        raise unknown("operation of augment", name, OPERATIONS)
