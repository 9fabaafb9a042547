"""Converts arrays between a file of another program and our parameters, key by key."""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from dfjax.errors import UsageError
from dfjax.weights.key_map import KeyMap, Shape

SHOWN = 6
"""Number of keys of each kind that a message names."""

Arrays = Mapping[str, np.ndarray]


class MismatchError(UsageError):
    """The keys of a file are not those of the network.

    Attributes:
        missing: Keys of the network that the file lacks.
        unexpected: Keys of the file that the network does not have.
        misshaped: Keys whose shapes differ, with both shapes: the file's and the network's.
    """

    def __init__(
        self,
        source: str,
        missing: Sequence[str],
        unexpected: Sequence[str],
        misshaped: Mapping[str, tuple[Shape, Shape]],
        hint: str,
    ) -> None:
        self.missing, self.unexpected, self.misshaped = missing, unexpected, misshaped
        parts = []
        if missing:
            parts.append(f"{len(missing)} keys are missing: {_show(missing, unexpected)}")
        if unexpected:
            parts.append(f"{len(unexpected)} are not expected: {_show(unexpected, missing)}")
        if misshaped:
            texts = [f"{key} {a} instead of {b}" for key, (a, b) in misshaped.items()]
            parts.append(f"{len(misshaped)} have another shape: {_show(texts, ())}")
        super().__init__(f"{source} does not fit. {'. '.join(parts)}. {hint}".strip())


def _show(keys: Sequence[str], others: Sequence[str]) -> str:
    shown = []
    for key in keys[:SHOWN]:
        near = difflib.get_close_matches(key, others[:2000], n=1, cutoff=0.75)
        shown.append(f"{key} (near {near[0]})" if near else key)
    return ", ".join(shown) + (" …" if len(keys) > SHOWN else "")


def to_ours(
    arrays: Arrays, key_map: KeyMap, *, source: str, leave_out: Sequence[str] = (), hint: str = ""
) -> dict[str, np.ndarray]:
    """Returns our parameters by path, as float32.

    Every key of the file is used exactly once, but for counters, weights that the program does not
    use, and those that are to be left out. Parameters that `key_map` does not have are not in the
    result.

    Args:
        arrays: Arrays of the file.
        key_map: Key map of the network.
        source: Name of the file, for messages.
        leave_out: Beginnings of the keys that are left out.
        hint: Last sentence of the message about keys that do not fit.

    Raises:
        MismatchError: Keys are missing or left over, or have another shape.
        UsageError: Values are not numbers or not finite.
    """
    wanted = {entry.theirs: entry for entry in key_map.entries}
    biases = {entry.bias: entry.shape for entry in key_map.entries if entry.bias}
    missing = [key for key in (*wanted, *biases) if key not in arrays]
    known = {*wanted, *biases, *key_map.extras, *key_map.counters}
    unexpected = [
        key
        for key in arrays
        if key not in known and not key.startswith(tuple(leave_out))
        if not key_map.ignored.search(key)
    ]
    shapes = {key: entry.their_shape() for key, entry in wanted.items()} | biases
    misshaped = {
        key: (arrays[key].shape, shape)
        for key, shape in shapes.items()
        if key in arrays and not _fits(arrays[key].shape, shape)
    }
    if missing or unexpected or misshaped:
        raise MismatchError(source, missing, unexpected, misshaped, hint)
    values = {key: _number(arrays[key], key, source).reshape(shapes[key]) for key in shapes}
    bad = [key for key, value in values.items() if not np.isfinite(value).all()]
    if bad:
        raise UsageError(f"{source} has values that are not finite in {_show(bad, ())}")
    found = {entry.ours: entry.to_ours(values[entry.theirs]) for entry in key_map.entries}
    for entry in key_map.entries:
        if entry.bias:
            found[entry.ours] = found[entry.ours] - values[entry.bias]
    return found


def to_theirs(arrays: Arrays, key_map: KeyMap) -> dict[str, np.ndarray]:
    """Returns the arrays of a file of the other program, in its order; the inverse of `to_ours`.

    Args:
        arrays: Our parameters by path.
        key_map: Key map of the network.

    Raises:
        UsageError: The other program has no place for a parameter, or has one weight where ours
            differ.
    """
    if key_map.unmapped:
        raise UsageError(f"the other program has no {_show(key_map.unmapped, ())}")
    nonzero = [key for key in key_map.zeros if np.any(arrays[key])]
    if nonzero:
        raise UsageError(f"the other program has no {_show(nonzero, ())}, which are not zero here")
    found: dict[str, np.ndarray] = {}
    for entry in key_map.entries:
        value = entry.to_theirs(arrays[entry.ours])
        if not np.array_equal(found.setdefault(entry.theirs, value), value):
            raise UsageError(
                f"the other program has one weight {entry.theirs} for several layers that differ "
                "here; only a detector that came from it can go back"
            )
        if entry.bias:
            found[entry.bias] = np.zeros(entry.shape, np.float32)
    for key, shape in key_map.extras.items():
        kind = np.int64 if key_map.ignored.search(key) else np.float32
        found[key] = np.full(shape, key.endswith("var"), kind)
    return found | {key: np.zeros((), np.int64) for key in key_map.counters}


def _fits(shape: Shape, wanted: Shape) -> bool:
    """Returns whether the shapes are equal; 1 x 1 kernels may be stored as matrices."""
    return shape == wanted or (len(wanted) == 4 and (*shape, 1, 1) == wanted)


def _number(array: np.ndarray, key: str, source: str) -> np.ndarray:
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise UsageError(f"{key} of {source} is {array.dtype}; weights are floating-point numbers")
    return np.asarray(array, np.float32)
