"""Defines presets of augmentation, and combines them with the overrides of a config.

`config.augment` names a preset and may override the values of each operation, and the group.

| preset | source |
|---|---|
| `jitter_erase` | published for `efficientnet_b4`; areas and ratios of erasing: Zhong et al. 2020 |
| `affine_brightness` | operations published for `efficientnet_b4_380`; the ranges are ours |
| `crop_jitter` | published for `resnet18_bilstm`, `hybrid`; crop, saturation, hue, blur: ours |
| `compression` | ours, for `real_faces`: the operations that the field uses, mild ranges |
| `deepfakebench` | DeepfakeBench's `efficientnetb4.yaml` and albumentations 1.1.0, of its image |
| `gend` | published for `gend` (Yermakov et al. 2026) |
| `sbi` | published for `sbi` (Shiohara and Yamasaki 2022, and the authors' code) |

Values are the published ones, and the order is that of all presets. In GenD's code the blur is
before the changes of brightness and contrast, whose order is random, and what an affine change
brings in is black; here the blur is after them, and images are reflected at their borders. SBI's
code shifts red, green and blue, then hue, saturation and value, then brightness and contrast; here
brightness (what albumentations calls contrast, too) is changed first.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dfjax.data.transforms.augment_operations import OPERATIONS, Number, Values, check_values
from dfjax.errors import UsageError, unknown


class OneOf(NamedTuple):
    """A group of operations, of which at most one alternative is applied to a clip.

    Attributes:
        probability: Probability that an alternative is applied.
        alternatives: Names of the operations of each alternative. All alternatives have the same
            probability, and the operations of the chosen one are drawn as without a group.
    """

    probability: float
    alternatives: tuple[tuple[str, ...], ...]


class Augmentation(NamedTuple):
    """Operations of augmentation and their values.

    Attributes:
        operations: Values of the operations by name, in the order of application.
        one_of: Group of some of the operations, or None if all are drawn independently.
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
    "compression": Augmentation(
        {
            "crop": (1.0, 0.8, 1.0, 0.9, 1.1),
            "flip": (0.5,),
            "brightness": (0.5, 0.8, 1.2),
            "contrast": (0.5, 0.8, 1.2),
            "saturation": (0.5, 0.8, 1.2),
            "hue": (0.5, -0.03, 0.03),
            "blur": (0.1, 0.1, 1.0, 5),
            "rescale": (0.1, 0.5, 1.0),
            "jpeg": (0.3, 50.0, 100.0),
        }
    ),
    "gend": Augmentation(
        {
            "rotate": (1.0, -10.0, 10.0),
            "zoom": (1.0, 0.9, 1.1),
            "translate": (1.0, -0.1, 0.1),
            "flip": (0.5,),
            "brightness": (1.0, 0.9, 1.1),
            "contrast": (1.0, 0.9, 1.1),
            "blur": (0.1, 0.1, 2.0, 7),
            "jpeg": (1.0, 40.0, 100.0),
        }
    ),
    # Shifts of hue, saturation and value by 0.3 steps of 8 bits are barely visible, as published.
    "sbi": Augmentation(
        {
            "flip": (0.5,),
            "brightness": (1.0, 0.7, 1.3),
            "offset": (1.0, -0.3, 0.3),
            "rgb": (0.3, 20 / 255, 20 / 255, 20 / 255),
            "hsv": (0.3, 0.3 / 180, 0.3 / 255, 0.3 / 255),
            "jpeg": (0.5, 40.0, 100.0),
        },
        OneOf(0.3, (("brightness", "offset"),)),
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
    """Returns the augmentation of a preset with overrides.

    Args:
        preset: Name of the preset, a key of `PRESETS`.
        one_of: Probability and alternatives of the group, where an alternative is the name of an
            operation or a tuple of names. An empty tuple keeps the preset's group, and probability
            0 removes it.
        overrides: Values by operation. A probability alone keeps the preset's range, an empty tuple
            keeps all values, and probability 0 removes the operation.

    Raises:
        UsageError: The preset or an operation is unknown, or values are invalid.
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
        raise UsageError(f"augment.one_of={given}: the first value must be a probability in [0, 1]")
    group = OneOf(probability, tuple((a,) if isinstance(a, str) else (*a,) for a in alternatives))
    names = [name for alternative in group.alternatives for name in alternative]
    for name in names:
        _check_name(name)
    if len(set(names)) < len(names):
        raise UsageError(f"augment.one_of={given} names an operation twice")
    return group


def _without_absent(group: OneOf | None, operations: dict[str, Values]) -> OneOf | None:
    """Returns the group without operations that are off, or None if it has no alternatives left."""
    if group is None or not group.probability:
        return None
    kept = [tuple(n for n in names if n in operations) for names in group.alternatives]
    return OneOf(group.probability, tuple(filter(None, kept))) if any(kept) else None


def _check_name(name: str) -> None:
    if name not in OPERATIONS:
        raise unknown("operation of augment", name, OPERATIONS)
