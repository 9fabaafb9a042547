"""Defines the operations of augmentation and checks their values.

The values of an operation are a tuple of its probability and the numbers that `Operation.values`
lists, usually the two ends of a range.
"""

from typing import NamedTuple

from dfjax.errors import UsageError

RANGE = ("lowest", "highest")
BOX = ("smallest area", "largest area", "lowest ratio", "highest ratio")
DEVIATION = ("standard deviation",)
SHIFTS = ("largest shift of red", "of green", "of blue")
LIMITS = ("largest hue shift", "largest saturation shift", "largest value shift")
LIMITED = (SHIFTS, LIMITS)
"""Values of operations that draw a number between plus and minus each of them."""

Number = float | int  # overrides of a config may be integers
Values = tuple[Number, ...]


class Operation(NamedTuple):
    """One operation of augmentation, drawn once per clip.

    Attributes:
        title: Name for display.
        unit: Unit of the range.
        values: Names of the values after the probability.
        least: Lower bound of the range.
        most: Upper bound of the range.
        nothing: Neutral numbers, which change nothing. Clips that the operation skips have these.
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
    ),  # area, ratio of width to height, x and y of the position
    "rotate": Operation("rotation", "degrees", RANGE, -180, 180, (0.0,)),
    "zoom": Operation("zoom", "times", RANGE, 0.1, 10, (1.0,)),
    "translate": Operation("translation", "of the side", RANGE, -1, 1, (0.0, 0.0)),
    "flip": Operation("horizontal flip", "", (), 0, 0, (0.0,)),
    "brightness": Operation("brightness", "times", RANGE, 0, INFINITE, (1.0,)),
    "offset": Operation("brightness offset", "of white", RANGE, -1, 1, (0.0,)),
    "contrast": Operation("contrast", "times", RANGE, 0, INFINITE, (1.0,)),
    "saturation": Operation("saturation", "times", RANGE, 0, INFINITE, (1.0,)),
    "hue": Operation("hue", "of the circle", RANGE, -0.5, 0.5, (0.0,)),
    "rgb": Operation("red, green, blue", "of white", SHIFTS, 0, 1, (0.0, 0.0, 0.0)),
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
"""Operations that are combined in one affine map of RGB, in the order of `ops.color.Colour`."""


def describe_range(name: str, values: Values) -> str:
    """Returns the values of an operation as text, such as `-15 … 15 degrees, p 0.5`.

    Args:
        name: Name of the operation.
        values: Values of the operation.
    """
    operation, parts = OPERATIONS[name], []
    if operation.values in (DEVIATION, *LIMITED):
        parts = [f"{what} {value:.3g}" for what, value in zip(operation.values, values[1:])]
    elif operation.values:
        parts.append(f"{values[1]:g} … {values[2]:g} {operation.unit}")
    if operation.values == BOX:
        parts.append(f"ratio {values[3]:g} … {values[4]:g}")
    if "taps" in operation.values:
        parts.append(f"{values[3]:g} taps")
    return ", ".join([*parts, f"p {values[0]:g}" if values[0] < 1 else "always"])


def spread_values(name: str, values: Values, count: int) -> list[Values]:
    """Returns evenly spaced numbers of an operation, in place of drawn ones.

    Ranges are covered from end to end, normal distributions from -2 to 2 standard deviations, and
    positions of boxes from left to right and twice from top to bottom.

    Args:
        name: Name of the operation.
        values: Values of the operation.
        count: Number of examples.
    """
    steps = [place / max(count - 1, 1) for place in range(count)]
    operation = OPERATIONS[name]
    if not operation.values:
        return [(float(place % 2),) for place in range(count)]
    if operation.values in (DEVIATION, *LIMITED):
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
    """Returns the values of an operation after checking them.

    Args:
        name: Name of the operation.
        values: Probability and the numbers that `Operation.values` lists.

    Raises:
        UsageError: There are too few or too many values, or one is out of range.
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
    if operation.values in (DEVIATION, *LIMITED):
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
