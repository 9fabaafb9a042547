"""Bilinear resizing as two matrix products, which can be sharded and exported and run fast.

The resizes of libraries use a gather, which neither exports with a symbolic batch nor uses a matrix
unit. Here, numpy builds two small matrices during tracing, which become constants of the program.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfjax.ops.separable import EXACT


@functools.lru_cache(maxsize=256)
def resize_matrix(size: int, new_size: int, *, antialias: bool = True) -> Float[np.ndarray, "n m"]:
    """Returns the f32[new_size, size] matrix that resizes one axis bilinearly; its rows sum to 1.

    Pixels are areas (half-pixel centres, `align_corners=False`). With `antialias`, downsampling
    widens the triangle kernel by the scale, as PIL and torch's `antialias=True` do; upsampling is
    the same in both cases. Kernels that extend over the border are truncated and renormalised.

    Args:
        size: Length of the axis before resizing.
        new_size: Length of the axis after resizing.
        antialias: Whether downsampling averages over all pixels that an output pixel covers.
    """
    scale = size / new_size
    reach = max(scale, 1.0) if antialias else 1.0
    centre = (np.arange(new_size) + 0.5) * scale - 0.5
    distance = np.abs(centre[:, None] - np.arange(size)[None, :]) / reach
    weight = np.maximum(0.0, 1.0 - distance)
    weight /= weight.sum(axis=1, keepdims=True)
    matrix = weight.astype(np.float32)
    matrix.flags.writeable = False  # the cache returns the same array to every caller
    return matrix


def resize(
    image: Float[Array, "*batch h w c"], size: tuple[int, int], *, antialias: bool = True
) -> Float[Array, "*batch H W c"]:
    """Returns `image` resized bilinearly to `size` = (height, width), in its own dtype.

    An axis that already has the requested length is left unchanged.

    Args:
        image: Floating-point images or feature maps, channels last, with any leading axes.
        size: Height and width after resizing.
        antialias: Whether downsampling is antialiased (see `resize_matrix`).
    """
    height, width = image.shape[-3:-1]
    if height != size[0]:
        rows = jnp.asarray(resize_matrix(height, size[0], antialias=antialias), image.dtype)
        image = jnp.einsum("yh,...hwc->...ywc", rows, image, precision=EXACT)
    if width != size[1]:
        columns = jnp.asarray(resize_matrix(width, size[1], antialias=antialias), image.dtype)
        image = jnp.einsum("xw,...hwc->...hxc", columns, image, precision=EXACT)
    return image
