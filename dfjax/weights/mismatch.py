"""Checks that arrays are exactly the parameters of a network, and lists those that are not."""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from dfjax.errors import FileError, UsageError
from dfjax.weights.key_map import Shape, Shapes

SHOWN = 6
"""Number of keys of each kind that a message names."""

COMPARED = 2000
"""Number of keys among which the nearest one is looked for."""


class MismatchError(UsageError):
    """The parameters of a file are not those of the network.

    Attributes:
        missing: Keys of the network that the file lacks.
        unexpected: Keys of the file that the network does not have.
        misshaped: Keys whose shapes differ, with both shapes: the file's and the network's.
    """

    def __init__(
        self,
        intro: str,
        missing: Sequence[str],
        unexpected: Sequence[str],
        misshaped: Mapping[str, tuple[Shape, Shape]],
        hint: str,
    ) -> None:
        self.missing, self.unexpected, self.misshaped = missing, unexpected, misshaped
        parts = []
        if missing:
            parts.append(f"{_count(missing)} missing: {list_keys(missing, unexpected)}")
        if unexpected:
            parts.append(f"{_count(unexpected)} not expected: {list_keys(unexpected, missing)}")
        if misshaped:
            texts = [f"{key} {a} instead of {b}" for key, (a, b) in misshaped.items()]
            parts.append(f"{_count(texts)} of another shape: {list_keys(texts)}")
        super().__init__("; ".join([f"{intro}: {parts[0]}", *parts[1:], *([hint] if hint else [])]))


def check_keys(
    found: Shapes, wanted: Shapes, *, source: str, network: str = "the network", hint: str = ""
) -> None:
    """Checks that a file has exactly the parameters of a network.

    Args:
        found: Shapes of the file's arrays by key.
        wanted: Shapes of the network's parameters by key.
        source: Name of the file, for the message.
        network: Name of the network, for the message.
        hint: Last part of the message.

    Raises:
        MismatchError: A parameter is missing, unexpected, or has another shape.
    """
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted]
    misshaped = {
        key: (tuple(found[key]), tuple(shape))
        for key, shape in wanted.items()
        if key in found and tuple(found[key]) != tuple(shape)
    }
    if missing or unexpected or misshaped:
        intro = f"the parameters of {source} are not those of {network}"
        raise MismatchError(intro, missing, unexpected, misshaped, hint)


def check_finite(arrays: Mapping[str, np.ndarray], *, source: str) -> None:
    """Checks that no parameter is infinite or NaN.

    Raises:
        FileError: One is.
    """
    bad = [key for key, value in arrays.items() if not np.isfinite(value).all()]
    if bad:
        raise FileError(f"{source} has values that are not finite in {list_keys(bad)}")


def list_keys(keys: Sequence[str], others: Sequence[str] = ()) -> str:
    """Returns the first keys as a text, each with the nearest of the others."""
    shown = []
    for key in keys[:SHOWN]:
        near = difflib.get_close_matches(key, others[:COMPARED], n=1, cutoff=0.75)
        shown.append(f"{key} (near {near[0]})" if near else key)
    return ", ".join(shown) + (" …" if len(keys) > SHOWN else "")


def _count(keys: Sequence[str]) -> str:
    return f"{len(keys)} keys are" if len(keys) > 1 else "1 key is"
