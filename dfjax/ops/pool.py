"""Max pooling by two: native, or as comparisons, whose gradient needs no scatter."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dfjax.ops.lowering import Lowering


def max_pool(x: Float[Array, "n h w c"], *, lowering: Lowering) -> Float[Array, "n p q c"]:
    """Returns the maximum of every 2 x 2 square of `x`; an odd last row or column is left out.

    The gradient goes to the first maximum of a square, row by row, and NaN stays NaN, in either
    form.

    Args:
        x: feature maps, channels last.
        lowering: XLA's window reduction, or comparisons of the four corners.
    """
    if not lowering.matmul:
        window = (1, 2, 2, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
    n, h, w, c = x.shape
    squares = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    top = _first_maximum(squares[:, :, 0, :, 0], squares[:, :, 0, :, 1])
    bottom = _first_maximum(squares[:, :, 1, :, 0], squares[:, :, 1, :, 1])
    return _first_maximum(top, bottom)


def _first_maximum(a: Array, b: Array) -> Array:
    return jnp.where((b > a) | jnp.isnan(b), b, a)
