"""Brightness, contrast, saturation and hue as one affine map of RGB per image, and noise.

The four are linear in the colours, so they are composed into a 3 x 3 matrix and an offset and cost
one pass over the pixels; values are cut to [0, 1] once, at the end.
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
    """How the colours of each image change; factors of 1, offset and hue of 0 change nothing.

    Attributes:
        brightness: factor of all values.
        offset: added to all values, after the factor.
        contrast: factor of the distance from the mean luma of the image.
        saturation: factor of the distance from gray of the same luma.
        hue: turns of the colour circle (1 is all the way round) at the same luma.
    """

    brightness: PerImage
    offset: PerImage
    contrast: PerImage
    saturation: PerImage
    hue: PerImage


def change_colour(images: Images, colour: Colour, luma: PerImage) -> Images:
    """Returns `images` of values in [0, 1] with their colours changed, in the order of `Colour`.

    Args:
        images: RGB; the frames of a clip share its numbers.
        colour: what to do.
        luma: mean luma of each image, about which the contrast changes (`mean_luma`).
    """
    factor = colour.brightness * colour.contrast
    matrix = factor[:, None, None] * chroma_matrix(colour.saturation, colour.hue)
    # Saturation and hue leave gray alone, so that the offset goes through them as it is.
    offset = colour.offset + (1 - colour.contrast) * colour.brightness * luma
    offset = offset.reshape(-1, *(1,) * (images.ndim - 2))
    r, g, b = (images[..., channel] for channel in range(3))
    rows = [
        matrix[:, i].reshape(-1, 3, *(1,) * (images.ndim - 2)) for i in range(3)
    ]  # three multiplies and adds per value; a matrix product of width 3 is slower
    mixed = [row[:, 0] * r + row[:, 1] * g + row[:, 2] * b + offset for row in rows]
    return jnp.clip(jnp.stack(mixed, axis=-1), 0, 1)


def chroma_matrix(saturation: PerImage, hue: PerImage) -> Float[Array, "N 3 3"]:
    """Returns the matrices of RGB that scale and turn the chroma of YIQ and leave luma alone."""
    angle = 2 * math.pi * hue
    cos, sin = saturation * jnp.cos(angle), saturation * jnp.sin(angle)
    one, zero = jnp.ones_like(cos), jnp.zeros_like(cos)
    rows = [[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]]
    turn = jnp.stack([jnp.stack(row, -1) for row in rows], -2)
    back = np.linalg.inv(_TO_YIQ.astype(np.float64)).astype(np.float32)
    return jnp.einsum("ij,njk,kl->nil", back, turn, _TO_YIQ, precision=EXACT)


def mean_luma(clips: Float[Array, "N T H W 3"], mask: Float[Array, "N T"]) -> PerImage:
    """Returns the mean luma of each clip over the frames that `mask` weighs; 0 without any."""
    frames = jnp.einsum("nthwc,c->nt", clips, LUMA, precision=EXACT) / math.prod(clips.shape[2:4])
    return jnp.sum(frames * mask, axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)


def add_noise(images: Images, sigma: PerImage, keys: Key[Array, "N"]) -> Images:
    """Returns `images` in [0, 1] with Gaussian noise, new for every value, cut to [0, 1] again.

    Args:
        images: the frames of a clip share its sigma, not its noise.
        sigma: standard deviations; 0 changes nothing.
        keys: one per image, so that an image does not depend on its neighbours in a batch.
    """
    draw = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))
    noise = sigma.reshape(-1, *(1,) * (images.ndim - 1)) * draw(keys)
    return jnp.clip(images + noise, 0, 1)
