"""JPEG compression and decompression on device, equal to libjpeg with its default settings.

The steps are: conversion to YCbCr, chroma subsampling by 2, 8 x 8 cosine transform, quantisation by
the standard tables at the quality of each image, and their inverses. Entropy coding is lossless and
is left out. Source: ITU-T T.81 (tables of annex K); rounding and smooth chroma upsampling follow
libjpeg.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfjax.ops.color import LUMA
from dfjax.ops.resize import resize
from dfjax.ops.separable import EXACT

BLOCK = 8  # pixels per side of a transform block
UNIT = 16  # pixels per side of a unit that holds whole blocks of luma and of subsampled chroma

_LUMA_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
_CHROMA_TABLE = np.full((BLOCK, BLOCK), 99, np.float32)
_CHROMA_TABLE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_CB = np.array([-0.168736, -0.331264, 0.5], np.float32)
_CR = np.array([0.5, -0.418688, -0.081312], np.float32)

PerImage = Float[Array, "N"]
Planes = Float[Array, "N F H W"]


def compress_jpeg(
    images: Float[Array, "N *frames H W 3"], quality: PerImage
) -> Float[Array, "N *frames H W 3"]:
    """Returns RGB images after JPEG compression and decompression, in steps of 1/255.

    The frames of a clip are compressed separately, all at the quality of the clip. A side that is
    not a multiple of 16 is padded with its last pixel, as in libjpeg.

    Args:
        images: RGB images or clips with values in [0, 1].
        quality: JPEG quality of each image, 1 to 100, on the scale of libjpeg, PIL and OpenCV.
    """
    *_, height, width, _ = images.shape
    frames = images.reshape(len(quality), -1, height, width, 3)
    padding = [(0, 0), (0, 0), (0, -height % UNIT), (0, -width % UNIT)]
    red, green, blue = (
        jnp.pad(jnp.round(255 * frames[..., channel]), padding, mode="edge") for channel in range(3)
    )
    luma, cb, cr = (
        jnp.round(row[0] * red + row[1] * green + row[2] * blue) for row in (LUMA, _CB, _CR)
    )
    luma = _quantise(luma - 128, quantisation_table(_LUMA_TABLE, quality)) + 128
    table = quantisation_table(_CHROMA_TABLE, quality)
    size = ((height + 1) // 2, (width + 1) // 2)
    cb, cr = (
        _grow(_quantise(_shrink(plane), table), size)[..., :height, :width] for plane in (cb, cr)
    )
    luma = luma[..., :height, :width]
    pixels = [luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb]
    rounded = jnp.clip(jnp.round(jnp.stack(pixels, axis=-1)), 0, 255) / 255
    return rounded.reshape(images.shape)


def quantisation_table(table: Float[np.ndarray, "8 8"], quality: PerImage) -> Float[Array, "N 8 8"]:
    """Returns the quantisation steps of the 64 coefficients at each quality, by libjpeg's rule.

    Args:
        table: Quantisation steps at quality 50.
        quality: JPEG qualities, 1 to 100; they are rounded to integers.
    """
    quality = jnp.clip(jnp.round(quality), 1, 100)
    percent = jnp.where(quality < 50, jnp.floor(5000 / quality), 200 - 2 * quality)
    steps = jnp.floor((table * percent[:, None, None] + 50) / 100)
    return jnp.clip(steps, 1, 255)


@functools.cache
def cosine_matrix() -> Float[np.ndarray, "64 64"]:
    """Returns the orthonormal two-dimensional cosine transform of a flattened 8 x 8 block."""
    k = np.arange(BLOCK)
    one = np.cos(np.pi * k[:, None] * (2 * k + 1) / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    one[0] /= np.sqrt(2)
    return np.kron(one, one).astype(np.float32)


def _quantise(plane: Planes, table: Float[Array, "N 8 8"]) -> Planes:
    """Returns `plane` transformed, rounded to multiples of the steps and transformed back.

    The returned values are integers from -128 to 127.
    """
    count, frames, height, width = plane.shape
    rows, columns = height // BLOCK, width // BLOCK
    blocks = plane.reshape(count, frames, rows, BLOCK, columns, BLOCK)
    blocks = jnp.moveaxis(blocks, 3, 4).reshape(count, -1, BLOCK * BLOCK)
    steps = table.reshape(count, 1, BLOCK * BLOCK)
    matrix = cosine_matrix()
    # libjpeg stores eighths here, and rounds halves away from zero.
    eighths = jnp.round(8 * jnp.matmul(blocks, matrix.T, precision=EXACT))
    whole = jnp.sign(eighths) * jnp.floor((jnp.abs(eighths) + 4 * steps) / (8 * steps))
    blocks = jnp.matmul(whole * steps, matrix, precision=EXACT)
    blocks = jnp.clip(jnp.round(blocks), -128, 127)
    blocks = blocks.reshape(count, frames, rows, columns, BLOCK, BLOCK)
    return jnp.moveaxis(blocks, 4, 3).reshape(plane.shape)


def _shrink(plane: Planes) -> Float[Array, "N F h w"]:
    count, frames, height, width = plane.shape
    pairs = plane.reshape(count, frames, height // 2, 2, width // 2, 2)
    return jnp.floor(jnp.mean(pairs, axis=(3, 5)) + _alternate(width // 2, 0.25, 0.5))


def _grow(plane: Planes, size: tuple[int, int]) -> Float[Array, "N F h w"]:
    """Returns `plane` upsampled by 2 with weights 3/4 and 1/4, without its padding pixels."""
    plane = resize(plane[..., : size[0], : size[1], None], (2 * size[0], 2 * size[1]))[..., 0]
    return jnp.floor(plane + _alternate(2 * size[1], 8 / 16, 7 / 16))


def _alternate(count: int, even: float, odd: float) -> Float[np.ndarray, "{count}"]:
    """Returns the alternating bias that libjpeg adds before truncating to an integer.

    It keeps the rounding of halves from brightening a whole row.
    """
    return np.where(np.arange(count) % 2, odd, even).astype(np.float32)
