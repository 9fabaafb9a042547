"""Bilinear resizing as two matrix products, so that it shards, exports and runs fast everywhere.

Library resizes gather, which neither exports with a symbolic batch nor uses a matrix unit; the two
small matrices are built by numpy while tracing and become constants.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfjax.ops.separable import EXACT


@functools.lru_cache(maxsize=256)
def resize_matrix(size: int, new_size: int, *, antialias: bool = True) -> Float[np.ndarray, "n m"]:
    """Returns the f32[new_size, size] matrix that resizes one axis bilinearly; rows sum to 1.

    Pixels are areas (half-pixel centres, `align_corners=False`). With `antialias`, shrinking
    widens the triangle kernel by the scale, as PIL and torch's `antialias=True` do; growing is the
    same with and without. Kernels that reach over the border are cut and renormalised.

    Args:
        size: length of the axis now.
        new_size: length wanted.
        antialias: average over the pixels that a smaller one covers.
    """
    scale = size / new_size
    reach = max(scale, 1.0) if antialias else 1.0
    centre = (np.arange(new_size) + 0.5) * scale - 0.5
    distance = np.abs(centre[:, None] - np.arange(size)[None, :]) / reach
    weight = np.maximum(0.0, 1.0 - distance)
    weight /= weight.sum(axis=1, keepdims=True)
    matrix = weight.astype(np.float32)
    matrix.flags.writeable = False  # the cache hands out the same array again
    return matrix


def resize(
    image: Float[Array, "*batch h w c"], size: tuple[int, int], *, antialias: bool = True
) -> Float[Array, "*batch H W c"]:
    """Returns `image` resized bilinearly to `size` = (height, width), in its own dtype.

    Leading axes are free (frames, clips). An axis that already has its length is not touched.

    Args:
        image: floating-point image or feature map, channels last.
        size: height and width wanted.
        antialias: see `resize_matrix`.
    """
    height, width = image.shape[-3:-1]
    if height != size[0]:
        rows = jnp.asarray(resize_matrix(height, size[0], antialias=antialias), image.dtype)
        image = jnp.einsum("yh,...hwc->...ywc", rows, image, precision=EXACT)
    if width != size[1]:
        columns = jnp.asarray(resize_matrix(width, size[1], antialias=antialias), image.dtype)
        image = jnp.einsum("xw,...hwc->...hxc", columns, image, precision=EXACT)
    return image
