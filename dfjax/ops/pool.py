"""Max pooling with stride 2, either native or by comparisons, whose gradient needs no scatter."""

import functools

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dfjax.ops.lowering import Lowering
from dfjax.ops.padding import Padding, padded_size


def max_pool(
    x: Float[Array, "n h w c"],
    *,
    window: int = 2,
    padding: Padding = ((0, 0), (0, 0)),
    lowering: Lowering,
) -> Float[Array, "n p q c"]:
    """Returns the maximum of every window of `x` with stride 2; incomplete windows are dropped.

    In both lowerings the gradient flows to the first maximum of a window in row-major order, and
    the maximum of a window that holds a NaN is NaN.

    Args:
        x: Feature maps, channels last.
        window: Side of the square windows.
        padding: Numbers of cells of value -inf around the map.
        lowering: XLA's window reduction, or comparisons of columns and then of rows.
    """
    if not lowering.matmul:
        shape, strides = (1, window, window, 1), (1, 2, 2, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, shape, strides, [(0, 0), *padding, (0, 0)])
    edges = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]
    x = lax.pad(x, jnp.array(-jnp.inf, x.dtype), edges)
    return _axis_maximum(_axis_maximum(x, 2, window), 1, window)


def _axis_maximum(x: Array, axis: int, window: int) -> Array:
    reach = 2 * (padded_size(x.shape[axis], window, 2, (0, 0)) - 1) + 1
    shifted = (lax.slice_in_dim(x, i, i + reach, 2, axis) for i in range(window))
    return functools.reduce(_first_maximum, shifted)


def _first_maximum(a: Array, b: Array) -> Array:
    return jnp.where((b > a) | jnp.isnan(b), b, a)
