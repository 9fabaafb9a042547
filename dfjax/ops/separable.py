"""Separable linear filters with different parameters for each image of a batch.

A filter along one axis is a matrix `f32[N, m, n]`, one per image. Consecutive filters are composed
by multiplying their matrices, so that images go through two matrix products in all, which are fast
on every backend. Shapes do not depend on the parameters of the filters.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EXACT = jax.lax.Precision.HIGHEST  # by default a TPU rounds pixels to 8 bits of mantissa
_SHARPEST = 1e-3  # pixels; the weights of the neighbouring pixels are then zero in float32

PerImage = Float[Array, "N"]


def apply_matrices(
    images: Float[Array, "N *frames h w c"],
    rows: Float[Array, "N H h"],
    columns: Float[Array, "N W w"],
) -> Float[Array, "N *frames H W c"]:
    """Returns `images` with their height filtered by `rows` and their width by `columns`.

    Args:
        images: Images or clips, channels last. All frames of a clip share its matrices.
        rows: Filters of the vertical axis, f32[N, H, h].
        columns: Filters of the horizontal axis, f32[N, W, w].
    """
    images = jnp.einsum("nyh,n...hwc->n...ywc", rows, images, precision=EXACT)
    return jnp.einsum("nxw,n...hwc->n...hxc", columns, images, precision=EXACT)


def gaussian_matrix(size: int, sigma: PerImage, taps: int) -> Float[Array, "N {size} {size}"]:
    """Returns matrices that blur an axis by a Gaussian.

    The axis is reflected about the centres of its outermost pixels, as in OpenCV and torchvision.

    Args:
        size: Length of the axis.
        sigma: Standard deviations in pixels; 0 gives the identity exactly.
        taps: Length of the kernel, an odd number. The kernel is truncated there and sums to 1.
    """
    reach = taps // 2
    offset = jnp.arange(-reach, reach + 1)
    spread = jnp.maximum(sigma, _SHARPEST)[:, None]
    weight = jax.nn.softmax(-0.5 * (offset / spread) ** 2, axis=1)
    source = _mirror_index(jnp.arange(size)[:, None] + offset, size)
    here = source[..., None] == jnp.arange(size)
    return jnp.einsum("nk,ikj->nij", weight, here.astype(weight.dtype), precision=EXACT)


def _mirror_index(index: Array, size: int) -> Array:
    period = max(2 * size - 2, 1)
    index = index % period
    return jnp.minimum(index, period - index)


def rescale_matrix(size: int, factor: PerImage) -> Float[Array, "N {size} {size}"]:
    """Returns matrices that downsample an axis and upsample it to `size` pixels again.

    The axis is downsampled to `round(factor * size)` pixels with antialiasing and upsampled
    bilinearly, which gives the same values as two calls of `resize`.

    Args:
        size: Length of the axis.
        factor: Relative lengths of the downsampled axis, in (0, 1]; 1 gives the identity exactly.
    """
    small = jnp.clip(jnp.round(factor * size), 1, size)[:, None, None]
    pixel = jnp.arange(size)
    scale = size / small  # pixels of the axis per pixel of the small one, whose rest is unused
    used = pixel < small
    centre = (pixel[:, None] + 0.5) * scale - 0.5
    shrink = jnp.maximum(0, 1 - jnp.abs(centre - pixel) / scale)
    shrink = jnp.where(jnp.swapaxes(used, 1, 2), shrink / jnp.sum(shrink, 2, keepdims=True), 0)
    centre = (pixel[:, None] + 0.5) / scale - 0.5
    grow = jnp.where(used, jnp.maximum(0, 1 - jnp.abs(centre - pixel)), 0)
    grow = grow / jnp.sum(grow, 2, keepdims=True)
    return jnp.matmul(grow, shrink, precision=EXACT)
