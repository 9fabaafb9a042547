"""Linear filters of images whose rows and columns are treated alike, each image by its own numbers.

A filter along one axis is a matrix `f32[N, m, n]`, one per image. Filters that follow each other
are multiplied as matrices, so that images go through two matrix products in all, which suit
every backend; shapes do not depend on the numbers.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EXACT = jax.lax.Precision.HIGHEST  # a TPU would round pixels to 8 bits otherwise
_SHARPEST = 1e-3  # pixels; the neighbours' weights are then zero in float32

PerImage = Float[Array, "N"]


def apply_matrices(
    images: Float[Array, "N *frames h w c"],
    rows: Float[Array, "N H h"],
    columns: Float[Array, "N W w"],
) -> Float[Array, "N *frames H W c"]:
    """Returns `images` with their height filtered by `rows` and their width by `columns`.

    Args:
        images: all frames of an image (a clip) share its matrices.
        rows: f32[N, H, h].
        columns: f32[N, W, w].
    """
    images = jnp.einsum("nyh,n...hwc->n...ywc", rows, images, precision=EXACT)
    return jnp.einsum("nxw,n...hwc->n...hxc", columns, images, precision=EXACT)


def gaussian_matrix(size: int, sigma: PerImage, taps: int) -> Float[Array, "N {size} {size}"]:
    """Returns the Gaussian blur of an axis; standard deviation 0 leaves it as it is, exactly.

    The axis is mirrored at the centres of its outermost pixels, as OpenCV and torchvision do.

    Args:
        size: length of the axis.
        sigma: standard deviations in pixels.
        taps: odd length of the kernel, which is cut off beyond and sums to 1.
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
    """Returns what an axis loses when it is shrunk and grown back to `size` pixels.

    Shrinks to `round(factor * size)` pixels with antialiasing and back again bilinearly: the same
    numbers as `resize` twice. A factor of 1 leaves the axis as it is, exactly.

    Args:
        size: length of the axis.
        factor: in (0, 1].
    """
    small = jnp.clip(jnp.round(factor * size), 1, size)[:, None, None]
    pixel = jnp.arange(size)
    scale = size / small  # pixels of the axis per pixel of the shrunken one, whose rest is unused
    used = pixel < small
    centre = (pixel[:, None] + 0.5) * scale - 0.5
    shrink = jnp.maximum(0, 1 - jnp.abs(centre - pixel) / scale)
    shrink = jnp.where(jnp.swapaxes(used, 1, 2), shrink / jnp.sum(shrink, 2, keepdims=True), 0)
    centre = (pixel[:, None] + 0.5) / scale - 0.5
    grow = jnp.where(used, jnp.maximum(0, 1 - jnp.abs(centre - pixel)), 0)
    grow = grow / jnp.sum(grow, 2, keepdims=True)
    return jnp.matmul(grow, shrink, precision=EXACT)
