"""Converts arrays between a file of another program and our parameters, key by key."""

from collections.abc import Mapping, Sequence

import numpy as np

from dfjax.errors import FileError, UsageError
from dfjax.weights.key_map import KeyMap, Shape
from dfjax.weights.mismatch import check_finite, check_keys, list_keys

Arrays = Mapping[str, np.ndarray]


def to_ours(
    arrays: Arrays,
    key_map: KeyMap,
    *,
    source: str,
    network: str = "the network",
    leave_out: Sequence[str] = (),
    hint: str = "",
) -> dict[str, np.ndarray]:
    """Returns our parameters by path, as float32.

    Every key of the file is used exactly once, but for counters, weights that the program does not
    use, and those that are to be left out. Parameters that `key_map` does not have are not in the
    result.

    Args:
        arrays: Arrays of the file.
        key_map: Key map of the network.
        source: Name of the file, for messages.
        network: Name of the network, for messages.
        leave_out: Beginnings of the keys that are left out.
        hint: Last part of the message about keys that do not fit.

    Raises:
        MismatchError: Keys are missing or left over, or have another shape.
        FileError: Values are not numbers or not finite.
    """
    wanted = {entry.theirs: entry.their_shape() for entry in key_map.entries}
    wanted |= {entry.bias: entry.shape for entry in key_map.entries if entry.bias}
    unused = {*key_map.extras, *key_map.counters} - wanted.keys()
    used = {
        key: array
        for key, array in arrays.items()
        if key in wanted
        or not (key in unused or key.startswith(tuple(leave_out)) or key_map.ignored.search(key))
    }
    shapes = {key: _as_wanted(array.shape, wanted.get(key)) for key, array in used.items()}
    check_keys(shapes, wanted, source=source, network=network, hint=hint)
    values = {key: _number(used[key], key, source).reshape(shapes[key]) for key in wanted}
    check_finite(values, source=source)
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
        raise UsageError(f"the other program has no {list_keys(key_map.unmapped)}")
    nonzero = [key for key in key_map.zeros if np.any(arrays[key])]
    if nonzero:
        raise UsageError(f"the other program has no {list_keys(nonzero)}, which are not zero here")
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


def _as_wanted(shape: Shape, wanted: Shape | None) -> Shape:
    """Returns the shape of an array; 1 x 1 kernels may be stored as matrices."""
    whole = (*shape, 1, 1)
    return whole if whole == wanted else shape


def _number(array: np.ndarray, key: str, source: str) -> np.ndarray:
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise FileError(f"{key} of {source} is {array.dtype}; weights are floating-point numbers")
    return np.asarray(array, np.float32)
