"""Rounds the kernels of a network to int8 or bfloat16, for files that are smaller.

Kernels are the parameters with two or more dimensions that multiply an input. Biases, embeddings,
normalisations and statistics stay float32: they are small, and errors in them are not averaged.

A kernel in int8 has one scale per output channel, its largest absolute value / 127, so that an
error is at most half a scale. Scales have 17 significant bits. Their products with integers up to
127 are therefore exact in float32: every runtime computes the same kernels, and rounding twice is
the same as rounding once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import FileError, unknown
from dfjax.shapes import Variables

FLOAT32, INT8, BF16 = "float32", "int8", "bf16"
KINDS = (FLOAT32, INT8, BF16)
"""How kernels are stored."""

KERNELS = ("kernel", "recurrent")
"""Names of parameters that are kernels, where they have two or more dimensions."""

SCALES = "scales"
"""Collection of a flat dict with the scales of int8 arrays, under the keys of these."""

SMALLEST = 1e-30
"""Channels whose values are all smaller become zero, so that no scale is a subnormal number."""

SPARE_BITS = 0x7F
"""The last 7 of the 24 significant bits of a float32, which are zero in a scale."""


class Packed(NamedTuple):
    """A rounded array.

    Attributes:
        values: Its values, int8 or bfloat16.
        scale: float32 that int8 values are multiplied by, with as many dimensions, and the size 1
            in all but one of them; None for bfloat16.
    """

    values: Any
    scale: Any = None


def check_kind(kind: str) -> None:
    """Raises an error unless kernels can be stored so.

    Raises:
        UsageError: `kind` is not one of `KINDS`.
    """
    if kind not in KINDS:
        raise unknown("kind of kernels", kind, KINDS)


def pack(array: np.ndarray, kind: str, axis: int = -1) -> Packed:
    """Returns a float32 array rounded to the nearest values of a kind.

    Args:
        array: Array of one or more dimensions.
        kind: `int8` or `bf16`.
        axis: Axis of the output channels, of which each has a scale.
    """
    if kind == BF16:
        return Packed(array.astype(jnp.bfloat16))
    others = tuple(i for i in range(array.ndim) if i != axis % array.ndim)
    largest = np.abs(array).max(axis=others, keepdims=True, initial=0)
    exact = np.where(largest > SMALLEST, largest / np.float32(127), 1).astype(np.float32)
    scale = ((exact.view(np.uint32) + SPARE_BITS) & ~np.uint32(SPARE_BITS)).view(np.float32)
    return Packed(np.rint(array / scale).astype(np.int8), scale)


def unpack(packed: Packed) -> Any:
    """Returns the float32 array of a rounded one, of NumPy or of JAX."""
    values = packed.values.astype(np.float32)
    return values if packed.scale is None else values * packed.scale


def is_kernel(path: Sequence[str], array: Any) -> bool:
    """Returns whether an array of a model is a kernel.

    Args:
        path: Names on the way to it, from its collection on.
        array: The array.
    """
    return path[0] == "params" and path[-1] in KERNELS and array.ndim > 1


def pack_variables(variables: Variables, kind: str) -> Any:
    """Returns variables in which the kernels are `Packed`; see `unpack_variables`."""
    return _map_kernels(variables, lambda x: pack(np.asarray(x, np.float32), kind))


def unpack_variables(variables: Any) -> Variables:
    """Returns the variables of those that have `Packed` kernels."""
    return jax.tree.map(
        lambda x: unpack(x) if isinstance(x, Packed) else x,
        variables,
        is_leaf=lambda x: isinstance(x, Packed),
    )


def round_variables(variables: Variables, kind: str) -> Variables:
    """Returns variables with the float32 values that their kernels have once they are rounded.

    Args:
        variables: Parameters and statistics.
        kind: One of `KINDS`; `float32` changes nothing.
    """
    return variables if kind == FLOAT32 else unpack_variables(pack_variables(variables, kind))


def _map_kernels(variables: Variables, function: Callable[[Any], Any]) -> Any:
    def change(path: Sequence[Any], x: Any) -> Any:
        return function(x) if is_kernel([entry.key for entry in path], x) else x

    return jax.tree_util.tree_map_with_path(change, variables)


def pack_arrays(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Returns a flat dict `{"params.stem.kernel": array, …}` with its kernels rounded.

    Args:
        arrays: Arrays of a model by path.
        kind: One of `KINDS`. With `int8` there is a scale `[channels]` of every kernel too, under
            its key below `SCALES`.
    """
    found: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        if kind == FLOAT32 or not is_kernel(key.split("."), array):
            found[key] = array
            continue
        packed = pack(array.astype(np.float32), kind)
        found[key] = packed.values
        if packed.scale is not None:
            found[f"{SCALES}.{key}"] = packed.scale.reshape(-1)
    return found


def unpack_arrays(arrays: Mapping[str, np.ndarray], *, source: str) -> dict[str, np.ndarray]:
    """Returns the float32 arrays of a flat dict of `pack_arrays`.

    Args:
        arrays: Arrays by path. Those that are neither int8 nor bfloat16 are returned as they are.
        source: Name of the file that they are from, for messages.

    Raises:
        FileError: An int8 array has no scale that fits it, or a scale has no such array.
    """
    prefix = f"{SCALES}."
    scales = {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}
    found = {k: x for k, x in arrays.items() if not k.startswith(prefix)}
    for key in scales.keys() | {k for k, x in found.items() if x.dtype == np.int8}:
        values, scale = found.get(key), scales.get(key)
        if values is None or scale is None or values.dtype != np.int8 or not values.ndim:
            raise FileError(f"{source} needs int8 values and a scale for {key}, and lacks one")
        if scale.dtype != np.float32 or scale.shape != values.shape[-1:]:
            raise FileError(
                f"{source} has a scale {scale.dtype}{list(scale.shape)} for {key} "
                f"{list(values.shape)}; it needs one float32 per output channel, the last axis"
            )
        found[key] = unpack(Packed(values, scale))
    return {k: x.astype(np.float32) if x.dtype == jnp.bfloat16 else x for k, x in found.items()}
