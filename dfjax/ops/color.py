"""Changes brightness, contrast, saturation and hue by one affine map of RGB, and adds noise.

All four changes are linear in the colours. They are composed into one 3 x 3 matrix and one offset
per image, which takes a single pass over the pixels. Values are clipped to [0, 1] once, at the end.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from dfjax.ops.separable import EXACT

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of RGB, ITU-R BT.601
_CHROMA = np.array([[0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]], np.float32)
_TO_YIQ = np.stack([LUMA, *_CHROMA])

PerImage = Float[Array, "N"]
Images = Float[Array, "N *frames H W 3"]


class Colour(NamedTuple):
    """Colour changes of N images; factors of 1 with an offset and a hue of 0 change nothing.

    Attributes:
        brightness: Factors that all values are multiplied by.
        offset: Values added to all values after the brightness factor.
        contrast: Factors of the difference from the mean luma of the image.
        saturation: Factors of the difference from the gray of the same luma.
        hue: Rotations of the hue at constant luma, in turns (1 is a full turn).
    """

    brightness: PerImage
    offset: PerImage
    contrast: PerImage
    saturation: PerImage
    hue: PerImage


def change_colour(images: Images, colour: Colour, luma: PerImage) -> Images:
    """Returns `images` with their colours changed, in the order of the fields of `Colour`.

    Args:
        images: RGB images or clips with values in [0, 1]. All frames of a clip share its
            parameters.
        colour: Changes to apply.
        luma: Mean luma of each image, the fixed point of the contrast change (see `mean_luma`).
    """
    factor = colour.brightness * colour.contrast
    matrix = factor[:, None, None] * chroma_matrix(colour.saturation, colour.hue)
    # Saturation and hue do not change gray, so they do not change the offset either.
    offset = colour.offset + (1 - colour.contrast) * colour.brightness * luma
    offset = offset.reshape(-1, *(1,) * (images.ndim - 2))
    r, g, b = (images[..., channel] for channel in range(3))
    rows = [
        matrix[:, i].reshape(-1, 3, *(1,) * (images.ndim - 2)) for i in range(3)
    ]  # three multiplies and adds per value; a matrix product of width 3 is slower
    mixed = [row[:, 0] * r + row[:, 1] * g + row[:, 2] * b + offset for row in rows]
    return jnp.clip(jnp.stack(mixed, axis=-1), 0, 1)


def chroma_matrix(saturation: PerImage, hue: PerImage) -> Float[Array, "N 3 3"]:
    """Returns RGB matrices that scale and rotate the chroma in YIQ space and keep the luma.

    Args:
        saturation: Factors of the chroma.
        hue: Rotations of the chroma, in turns.
    """
    angle = 2 * math.pi * hue
    cos, sin = saturation * jnp.cos(angle), saturation * jnp.sin(angle)
    one, zero = jnp.ones_like(cos), jnp.zeros_like(cos)
    rows = [[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]]
    turn = jnp.stack([jnp.stack(row, -1) for row in rows], -2)
    back = np.linalg.inv(_TO_YIQ.astype(np.float64)).astype(np.float32)
    return jnp.einsum("ij,njk,kl->nil", back, turn, _TO_YIQ, precision=EXACT)


def mean_luma(clips: Float[Array, "N T H W 3"], mask: Float[Array, "N T"]) -> PerImage:
    """Returns the mean luma of each clip, weighted over frames by `mask`.

    Args:
        clips: RGB clips.
        mask: Weights of the frames, 0 or 1. A clip whose frames all have weight 0 gives 0.
    """
    frames = jnp.einsum("nthwc,c->nt", clips, LUMA, precision=EXACT) / math.prod(clips.shape[2:4])
    return jnp.sum(frames * mask, axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)


def add_noise(images: Images, sigma: PerImage, keys: Key[Array, "N"]) -> Images:
    """Returns `images` with independent Gaussian noise added to every value, clipped to [0, 1].

    Args:
        images: Images or clips with values in [0, 1]. All frames of a clip share its `sigma`;
            the noise differs from frame to frame.
        sigma: Standard deviations of the noise; 0 adds none.
        keys: One random key per image, so that the result for an image does not depend on the
            other images of the batch.
    """
    draw = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))
    noise = sigma.reshape(-1, *(1,) * (images.ndim - 1)) * draw(keys)
    return jnp.clip(images + noise, 0, 1)
