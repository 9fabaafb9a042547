"""What weights expect of the network and of its input, beside their values.

Weights that are used under another padding rule, another epsilon or another normalisation of the
input give other results, and no error is raised. A convention is therefore stored with the weights.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dfjax.errors import FileError, UsageError
from dfjax.json_files import check_value
from dfjax.models.layers import BNConstants
from dfjax.schema import MOST_PIXELS

RGB = tuple[float, float, float]
IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)
CLIP_MEAN: RGB = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: RGB = (0.26862954, 0.26130258, 0.27577711)
HALF: RGB = (0.5, 0.5, 0.5)
ZERO: RGB = (0.0, 0.0, 0.0)
ONE: RGB = (1.0, 1.0, 1.0)

BN_SCHEMA = {"epsilon": float, "momentum": float, "unbiased": bool}
SCHEMA = {
    "origin": str,
    "padding": str,
    "bn": (BN_SCHEMA, None),
    "mean": [float],
    "std": [float],
    "size": int,
}


@dataclass(frozen=True)
class Convention:
    """The convention of weights.

    Attributes:
        padding: Padding rule of `dfjax.ops.padding`.
        bn: Constants of batch normalisation; None where the network has none.
        mean: Mean that is subtracted from RGB values in [0, 1].
        std: Value by which they are then divided.
        size: Side of the images in pixels.
        origin: Name of the program that the weights are from.
    """

    padding: str
    bn: BNConstants | None
    mean: RGB = IMAGENET_MEAN
    std: RGB = IMAGENET_STD
    size: int = 224
    origin: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the convention as values of JSON, for the header of a file."""
        return {
            "origin": self.origin,
            "padding": self.padding,
            "bn": self.bn and asdict(self.bn),
            "mean": list(self.mean),
            "std": list(self.std),
            "size": self.size,
        }


def convention_from_dict(value: Any, *, name: str) -> Convention:
    """Returns the convention in the header of a file; the inverse of `Convention.to_dict`.

    Args:
        value: Value of JSON.
        name: What the value is, for the error message.

    Raises:
        FileError: The value is no convention.
    """
    check_value(value, SCHEMA, name=name)
    bn = value["bn"] and BNConstants(**{key: value["bn"][key] for key in BN_SCHEMA})
    mean, std = _rgb(value["mean"], name), _rgb(value["std"], name)
    if not 0 < value["size"] <= MOST_PIXELS:
        raise FileError(f"{name} has size={value['size']!s:.9}, not 1 to {MOST_PIXELS} pixels")
    return Convention(value["padding"], bn, mean, std, value["size"], value["origin"])


def find_convention(header: Mapping[str, Any], source: str) -> Convention | None:
    """Returns the convention in the header of a file, or None if there is none.

    Args:
        header: Header of the file.
        source: Name of the file, for the error message.

    Raises:
        FileError: The header is damaged.
    """
    if "convention" not in header:
        return None
    return convention_from_dict(header["convention"], name=f"the convention in {source}")


def _rgb(values: list[float], name: str) -> RGB:
    if len(values) != 3:
        raise UsageError(f"{name} has {len(values)} values for three channels")
    return (values[0], values[1], values[2])


def choose(
    conventions: Mapping[str, Convention], padding: str | None, *, origin: str, model: str
) -> Convention:
    """Returns the convention of a file among those that its program uses for the architecture.

    Args:
        conventions: Conventions by padding rule.
        padding: Padding rule that the caller or the name of the file gives, or None.
        origin: Name of the program.
        model: Name of the architecture.

    Raises:
        UsageError: The padding rule is not among them, or there are several and none is given.
    """
    valid = " or ".join(conventions)
    if padding is None and len(conventions) > 1:
        raise UsageError(
            f"{origin} pads {model} by one of several rules, and the file does not tell which: "
            f"give padding={valid} (timm's tf_… models have same, the others symmetric)"
        )
    padding = padding or next(iter(conventions))
    if padding not in conventions:
        raise UsageError(f"{origin} does not pad {model} by the rule {padding}: it is {valid}")
    return replace(conventions[padding], origin=origin)


def check_same(ours: Convention, conventions: Mapping[str, Convention], *, name: str) -> None:
    """Checks that weights compute the same in another program.

    Args:
        ours: Convention of the weights.
        conventions: Conventions of the other program for the architecture, by padding rule.
        name: Name of the other program, for the error message.

    Raises:
        UsageError: It pads otherwise or has another epsilon of batch normalisation.
    """
    theirs = conventions.get(ours.padding)
    if theirs is None:
        raise UsageError(
            f"the weights were trained with the padding {ours.padding}, and {name} pads by the "
            f"rule {' or '.join(conventions)}: it would compute something else without an error"
        )
    ours_epsilon = ours.bn and ours.bn.epsilon
    theirs_epsilon = theirs.bn and theirs.bn.epsilon
    if ours_epsilon != theirs_epsilon:
        raise UsageError(
            f"the weights were trained with an epsilon of {ours_epsilon} in batch normalisation, "
            f"and {name} has {theirs_epsilon}: it would compute something else without an error"
        )
