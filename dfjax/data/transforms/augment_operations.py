"""The operations of augmentation and the numbers they take: plain tuples, no arrays.

An operation's values are its probability and then what `Operation.values` lists, usually the lowest
and the highest number of a range.
"""

from typing import NamedTuple

from dfjax.errors import UsageError

RANGE = ("lowest", "highest")
BOX = ("smallest area", "largest area", "lowest ratio", "highest ratio")
DEVIATION = ("standard deviation",)
LIMITS = ("largest hue shift", "largest saturation shift", "largest value shift")

Number = float | int  # the command line gives whole numbers, too
Values = tuple[Number, ...]


class Operation(NamedTuple):
    """One operation of augmentation, drawn once per clip.

    Attributes:
        title: Name for people.
        unit: Unit of the range.
        values: Names of the numbers after the probability.
        least: Smallest number that the range may have.
        most: Largest number that the range may have.
        nothing: Drawn numbers that change nothing; a clip that is left out has these.
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
    "fancy_pca": Operation("principal colours", "", DEVIATION, 0, 10, (0.0,)),
    "hsv": Operation("hue, saturation, value", "", LIMITS, 0, 1, (0.0, 0.0, 0.0)),
    "blur": Operation("Gaussian blur", "pixels", (*RANGE, "taps"), 0, INFINITE, (0.0,)),
    "rescale": Operation("down- and up-scaling", "of the side", RANGE, 0.01, 1, (1.0,)),
    "noise": Operation("Gaussian noise", "of white", RANGE, 0, 1, (0.0,)),
    "jpeg": Operation("JPEG", "quality", RANGE, 1, 100, (0.0,)),
    "erase": Operation("random erasing", "of the area", BOX, 0.001, 1, (0.0, 1.0, 0.5, 0.5)),
}
GEOMETRIC = ("crop", "rotate", "zoom", "translate", "flip")
COLOURS = ("brightness", "offset", "contrast", "saturation", "hue")
"""Operations that are one affine map of RGB, in the order of `ops.color.Colour`."""


def describe_range(name: str, values: Values) -> str:
    """Returns the numbers of an operation in words: `-15 … 15 degrees, p 0.5`."""
    operation, parts = OPERATIONS[name], []
    if operation.values in (DEVIATION, LIMITS):
        parts = [f"{what} {value:.3g}" for what, value in zip(operation.values, values[1:])]
    elif operation.values:
        parts.append(f"{values[1]:g} … {values[2]:g} {operation.unit}")
    if operation.values == BOX:
        parts.append(f"ratio {values[3]:g} … {values[4]:g}")
    if "taps" in operation.values:
        parts.append(f"{values[3]:g} taps")
    return ", ".join([*parts, f"p {values[0]:g}" if values[0] < 1 else "always"])


def spread_values(name: str, values: Values, count: int) -> list[Values]:
    """Returns `count` draws of an operation, from one end of its range to the other.

    They stand where drawn numbers would (`draw_operations`). Boxes go from corner to corner, a
    normal distribution from -2 to 2 standard deviations.
    """
    steps = [place / max(count - 1, 1) for place in range(count)]
    operation = OPERATIONS[name]
    if not operation.values:
        return [(float(place % 2),) for place in range(count)]
    if operation.values in (DEVIATION, LIMITS):
        most = 2.0 if operation.values == DEVIATION else 1.0
        return [tuple(most * (2 * step - 1) * v for v in values[1:]) for step in steps]
    low, high = values[1:3]
    along = [low + step * (high - low) for step in steps]
    if operation.values != BOX:
        return [(value,) * len(operation.nothing) for value in along]
    growth = values[4] / values[3]
    return [
        (area, values[3] * growth**step, step, (2.0 * step) % 1.0)
        for area, step in zip(along, steps)
    ]


def check_values(name: str, values: Values) -> Values:
    """Returns the values of an operation if it can take them.

    Raises:
        UsageError: Their number is wrong, or one of them is out of its range.
    """
    operation = OPERATIONS[name]
    wanted = ("probability", *operation.values)
    given = f"augment.{name}={values}"
    if len(values) != len(wanted):
        raise UsageError(f"{given}: give {', '.join(wanted)}")
    if not 0 <= values[0] <= 1:
        raise UsageError(f"{given}: the probability {values[0]} is not in [0, 1]")
    if not operation.values:
        return values
    bounds = f"{operation.least:g} to {operation.most:g}"
    if operation.values in (DEVIATION, LIMITS):
        if not all(operation.least <= value <= operation.most for value in values[1:]):
            raise UsageError(f"{given}: {', '.join(operation.values)} must be within {bounds}")
        return values
    low, high = values[1:3]
    if not operation.least <= low <= high <= operation.most or high == INFINITE:
        raise UsageError(f"{given}: the range must ascend within {bounds} {operation.unit}")
    if operation.values == BOX and not 0 < values[3] <= values[4] < INFINITE:
        raise UsageError(f"{given}: the ratios must be positive and ascend")
    if "taps" in operation.values and (values[3] < 1 or values[3] % 2 != 1):
        raise UsageError(f"{given}: taps must be an odd number")
    return values
