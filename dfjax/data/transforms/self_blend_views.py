"""The two views of self-blending: the same picture with other colours and other detail.

The numbers are those of the program of Shiohara and Yamasaki 2022, where 255 is the largest value
of a pixel: a shift of red, green and blue, of hue and saturation, brightness and contrast, and then
either shrinking (nearest pixel) and growing back (bilinear), or sharpening.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from dfjax.ops.color import Colour, change_colour
from dfjax.ops.resize import resize_matrix
from dfjax.ops.separable import apply_matrices

SHIFT, SHIFTED = 20 / 255, 0.3  # of a colour, and how often
HUE, SATURATION = 0.3 / 180, 0.3 / 255  # the authors' 0.3 is a step of 8 bits: hardly seen
BRIGHTNESS, CONTRAST = 0.1, 0.1
SHRUNK = (2, 4)
STRENGTH, LIGHTNESS = (0.2, 0.5), (0.5, 1.0)  # of sharpening

Clips = Float[Array, "B T H W 3"]


class ViewDraws(NamedTuple):
    """What is drawn for the view of each clip that is changed."""

    of_source: Bool[Array, "B"]  # which view that is: the source, or the target
    shift: Float[Array, "B 3"]
    colour: Colour
    sharpened: Bool[Array, "B"]  # or shrunk
    shrunk: Int[Array, "B"]  # place in SHRUNK
    strength: Float[Array, "B"]
    lightness: Float[Array, "B"]


def draw_view(key: Key[Array, ""]) -> ViewDraws:
    """Returns the draws of one clip."""
    keys = jax.random.split(key, 8)
    signed = jax.random.uniform(keys[0], (4,), minval=-1.0)
    shift = SHIFT * jax.random.uniform(keys[1], (3,), minval=-1.0)
    strength, lightness = (
        jax.random.uniform(k, (), minval=low, maxval=high)
        for k, (low, high) in ((keys[6], STRENGTH), (keys[7], LIGHTNESS))
    )
    return ViewDraws(
        of_source=jax.random.bernoulli(keys[2]),
        shift=shift * jax.random.bernoulli(keys[3], SHIFTED),
        colour=Colour(
            brightness=1 + CONTRAST * signed[0],
            offset=BRIGHTNESS * signed[1],
            contrast=jnp.ones(()),
            saturation=1 + SATURATION * signed[2],
            hue=HUE * signed[3],
        ),
        sharpened=jax.random.bernoulli(keys[4]),
        shrunk=jax.random.randint(keys[5], (), 0, len(SHRUNK)),
        strength=strength,
        lightness=lightness,
    )


def change_view(clips: Clips, draws: ViewDraws) -> Clips:
    """Returns clips in [0, 1] with their colours and their detail changed as drawn."""
    shifted = jnp.clip(clips + draws.shift[:, None, None, None, :], 0, 1)
    coloured = change_colour(shifted, draws.colour, jnp.zeros(len(clips)))
    sharp = sharpen(coloured, draws.strength, draws.lightness)
    choice = draws.sharpened[:, None, None, None, None]
    return jnp.where(choice, sharp, shrink(coloured, draws.shrunk))


def shrink(clips: Clips, choice: Int[Array, "B"]) -> Clips:
    """Returns clips of which every second or fourth pixel is kept and the others are filled in.

    Args:
        clips: in [0, 1].
        choice: place in SHRUNK.
    """
    rows, columns = (
        jnp.asarray(np.stack([_shrink_matrix(size, by) for by in SHRUNK]))[choice]
        for size in clips.shape[2:4]
    )
    return apply_matrices(clips, rows, columns)


def _shrink_matrix(size: int, by: int) -> Float[np.ndarray, "n n"]:
    small = size // by
    nearest = np.zeros((small, size), np.float32)
    nearest[np.arange(small), np.arange(small) * size // small] = 1.0
    return resize_matrix(small, size) @ nearest


def sharpen(clips: Clips, strength: Float[Array, "B"], lightness: Float[Array, "B"]) -> Clips:
    """Returns clips towards what a 3 x 3 kernel of -1, in its middle 8 + `lightness`, gives.

    Args:
        clips: in [0, 1].
        strength: 0 keeps the picture, 1 is the kernel's.
        lightness: the sum of the kernel.
    """
    edges = jnp.pad(clips, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    rows = edges[:, :, :-2] + edges[:, :, 1:-1] + edges[:, :, 2:]
    around = rows[:, :, :, :-2] + rows[:, :, :, 1:-1] + rows[:, :, :, 2:]  # with the middle
    strength, lightness = (v[:, None, None, None, None] for v in (strength, lightness))
    kernel = (9 + lightness) * clips - around
    return jnp.clip(clips + strength * (kernel - clips), 0, 1)
