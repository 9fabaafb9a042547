"""What augmentation can do, and its presets: plain numbers, no arrays.

An operation is a tuple of numbers: its probability, then its range, as `OPERATIONS` lists them.
`config.augment` names a preset and may override each operation by such a tuple.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dfjax.errors import UsageError, unknown

RANGE = ("lowest", "highest")
BOX = ("smallest area", "largest area", "lowest ratio", "highest ratio")


class Operation(NamedTuple):
    """One operation of augmentation, drawn once per clip.

    Attributes:
        title: what it does, for people.
        unit: of its range.
        values: what follows the probability.
        least: bound of the range.
        most: bound of the range.
        nothing: the drawn numbers that change nothing, which a clip has that is left out.
    """

    title: str
    unit: str
    values: tuple[str, ...]
    least: float
    most: float
    nothing: tuple[float, ...]


INFINITE = float("inf")

# In the order in which they are applied.
OPERATIONS = {
    "crop": Operation(
        "random resized crop", "of the area", BOX, 0.01, 1, (1.0, 1.0, 0.5, 0.5)
    ),  # ratio: width to height
    "rotate": Operation("rotation", "degrees", RANGE, -180, 180, (0.0,)),
    "zoom": Operation("zoom", "times", RANGE, 0.1, 10, (1.0,)),
    "translate": Operation("translation", "of the side", RANGE, -1, 1, (0.0, 0.0)),
    "flip": Operation("horizontal flip", "", (), 0, 0, (0.0,)),
    "brightness": Operation("brightness", "times", RANGE, 0, INFINITE, (1.0,)),
    "offset": Operation("brightness offset", "of white", RANGE, -1, 1, (0.0,)),
    "contrast": Operation("contrast", "times", RANGE, 0, INFINITE, (1.0,)),
    "saturation": Operation("saturation", "times", RANGE, 0, INFINITE, (1.0,)),
    "hue": Operation("hue", "of the circle", RANGE, -0.5, 0.5, (0.0,)),
    "blur": Operation("Gaussian blur", "pixels", (*RANGE, "taps"), 0, INFINITE, (0.0,)),
    "rescale": Operation("down- and up-scaling", "of the side", RANGE, 0.01, 1, (1.0,)),
    "noise": Operation("Gaussian noise", "of white", RANGE, 0, 1, (0.0,)),
    "jpeg": Operation("JPEG", "quality", RANGE, 1, 100, (0.0,)),
    "erase": Operation("random erasing", "of the area", BOX, 0.001, 1, (0.0, 1.0, 0.5, 0.5)),
}
GEOMETRIC = ("crop", "rotate", "zoom", "translate", "flip")
COLOURS = ("brightness", "offset", "contrast", "saturation", "hue")

Number = float | int  # the command line gives whole numbers, too
Values = tuple[Number, ...]

PRESETS: dict[str, dict[str, Values]] = {
    "none": {},
    "flip": {"flip": (0.5,)},
    "jitter_erase": {  # of efficientnet_b4; erasing's areas and ratios: Zhong et al. 2020
        "rotate": (1.0, -15.0, 15.0),
        "translate": (1.0, -0.05, 0.05),
        "flip": (0.5,),
        "brightness": (1.0, 0.8, 1.2),
        "contrast": (1.0, 0.8, 1.2),
        "saturation": (1.0, 0.8, 1.2),
        "hue": (1.0, -0.1, 0.1),
        "blur": (1.0, 0.1, 2.0, 3),
        "erase": (0.1, 0.02, 0.33, 0.3, 3.3),
    },
    "affine_brightness": {  # of efficientnet_b4_380: operations published, ranges ours
        "rotate": (1.0, -15.0, 15.0),
        "zoom": (1.0, 0.9, 1.1),
        "translate": (1.0, -0.1, 0.1),
        "brightness": (1.0, 0.8, 1.2),
    },
    "crop_jitter": {  # of resnet18, resnet18_bilstm, hybrid; ranges of crop, hue … ours
        "crop": (1.0, 0.8, 1.0, 0.9, 1.1),
        "rotate": (1.0, -5.0, 5.0),
        "flip": (0.5,),
        "brightness": (1.0, 0.8, 1.2),
        "contrast": (1.0, 0.8, 1.2),
        "saturation": (1.0, 0.8, 1.2),
        "hue": (1.0, -0.05, 0.05),
        "blur": (0.5, 0.1, 1.0, 5),
    },
    "deepfakebench": {  # its limits; what it calls contrast is a factor of all values, and blur of
        "rotate": (0.5, -10.0, 10.0),  # 3 to 7 taps has the sigma that OpenCV derives from them
        "flip": (0.5,),
        "brightness": (0.5, 0.9, 1.1),
        "offset": (0.5, -0.1, 0.1),
        "blur": (0.5, 0.8, 1.4, 7),
        "jpeg": (0.5, 40.0, 100.0),
    },
}


def choose_operations(preset: str, **overrides: Sequence[Number]) -> dict[str, Values]:
    """Returns the operations of `preset` with `overrides`, in the order of application.

    Args:
        preset: a key of `PRESETS`.
        overrides: per operation its probability and range, or only its probability, which keeps
            the preset's range; an empty tuple leaves the preset's, probability 0 switches it off.

    Raises:
        UsageError: an unknown preset or operation, or numbers that it cannot take.
    """
    if preset not in PRESETS:
        raise unknown("augment.preset", preset, PRESETS)
    chosen = dict(PRESETS[preset])
    for name, given in overrides.items():
        if name not in OPERATIONS:
            raise unknown("operation of augment", name, OPERATIONS)
        if given:
            kept = given[1:] or chosen.get(name, ())[1:]
            chosen[name] = tuple(float(number) for number in (given[0], *kept))
    return {name: _check(name, chosen[name]) for name in OPERATIONS if chosen.get(name, (0.0,))[0]}


def describe_range(name: str, values: Values) -> str:
    """Returns the numbers of an operation in words: `-15 … 15 degrees, p 0.5`."""
    operation, parts = OPERATIONS[name], []
    if operation.values:
        parts.append(f"{values[1]:g} … {values[2]:g} {operation.unit}")
    if operation.values == BOX:
        parts.append(f"ratio {values[3]:g} … {values[4]:g}")
    if "taps" in operation.values:
        parts.append(f"{values[3]:g} taps")
    return ", ".join([*parts, f"p {values[0]:g}" if values[0] < 1 else "always"])


def spread_values(name: str, values: Values, count: int) -> list[Values]:
    """Returns `count` things that an operation could draw, from one end of its range to the other.

    They stand where drawn numbers would (`draw_operations`). Boxes go from corner to corner.
    """
    steps = [place / max(count - 1, 1) for place in range(count)]
    operation = OPERATIONS[name]
    if not operation.values:
        return [(float(place % 2),) for place in range(count)]
    low, high = values[1:3]
    along = [low + step * (high - low) for step in steps]
    if operation.values != BOX:
        return [(value,) * len(operation.nothing) for value in along]
    growth = values[4] / values[3]
    return [
        (area, values[3] * growth**step, step, (2.0 * step) % 1.0)
        for area, step in zip(along, steps)
    ]


def _check(name: str, values: Values) -> Values:
    operation = OPERATIONS[name]
    wanted = ("probability", *operation.values)
    given = f"augment.{name}={values}"
    if len(values) != len(wanted):
        raise UsageError(f"{given}: give {', '.join(wanted)}")
    if not 0 <= values[0] <= 1:
        raise UsageError(f"{given}: the probability {values[0]} is not in [0, 1]")
    if not operation.values:
        return values
    low, high = values[1:3]
    if not operation.least <= low <= high <= operation.most or high == INFINITE:
        bounds = f"{operation.least:g} to {operation.most:g} {operation.unit}"
        raise UsageError(f"{given}: the range must ascend within {bounds}")
    if operation.values == BOX and not 0 < values[3] <= values[4] < INFINITE:
        raise UsageError(f"{given}: the ratios must be positive and ascend")
    if "taps" in operation.values and (values[3] < 1 or values[3] % 2 != 1):
        raise UsageError(f"{given}: taps must be an odd number")
    return values
