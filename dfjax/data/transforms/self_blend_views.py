"""Changes the colour and the detail of a clip, which gives the second view of self-blending.

The ranges and probabilities are those of the code of Shiohara and Yamasaki 2022, in which the
largest value of a pixel is 255. Red, green and blue are shifted, then brightness and contrast
(a factor of and an addition to all values), then saturation and hue. The clip is then either
downsampled (nearest pixel) and upsampled again (bilinear), or sharpened.

The authors shift hue, saturation and value of HSV before brightness and contrast, and round to
bytes after each step. Here hue and saturation are those of YIQ, value is not shifted, and clips are
rounded once, after blending. Shifts of hue, saturation and value by 0.3 bytes are barely visible.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from dfjax.ops.color import Colour, change_colour
from dfjax.ops.resize import resize_matrix
from dfjax.ops.separable import apply_matrices

SHIFT, SHIFTED = 20 / 255, 0.3  # largest shift of a channel, and its probability
HUE, SATURATION = 0.3 / 180, 0.3 / 255  # largest shifts; 0.3 steps of 8 bits, barely visible
BRIGHTNESS, CONTRAST = 0.1, 0.1
SHRUNK = (2, 4)  # factors of downsampling
STRENGTH, LIGHTNESS = (0.2, 0.5), (0.5, 1.0)  # ranges of sharpening

Clips = Float[Array, "B T H W 3"]


class ViewDraws(NamedTuple):
    """Random numbers of the changed view of each clip.

    Attributes:
        of_source: Whether the changed view is the source; otherwise it is the target.
        shift: Shift of red, green and blue.
        colour: Change of brightness, contrast, saturation and hue.
        sharpened: Whether the view is sharpened; otherwise it is down- and upsampled.
        shrunk: Position of the downsampling factor in `SHRUNK`.
        strength: Strength of sharpening.
        lightness: Sum of the sharpening kernel.
    """

    of_source: Bool[Array, "B"]
    shift: Float[Array, "B 3"]
    colour: Colour
    sharpened: Bool[Array, "B"]
    shrunk: Int[Array, "B"]
    strength: Float[Array, "B"]
    lightness: Float[Array, "B"]


def draw_view(key: Key[Array, ""]) -> ViewDraws:
    """Returns the random numbers of one clip."""
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
    """Returns clips after random changes of colour and detail.

    Args:
        clips: Clips in [0, 1].
        draws: Random numbers of the clips (see `draw_view`).
    """
    shifted = jnp.clip(clips + draws.shift[:, None, None, None, :], 0, 1)
    coloured = change_colour(shifted, draws.colour, jnp.zeros(len(clips)))
    sharp = sharpen(coloured, draws.strength, draws.lightness)
    choice = draws.sharpened[:, None, None, None, None]
    return jnp.where(choice, sharp, shrink(coloured, draws.shrunk))


def shrink(clips: Clips, choice: Int[Array, "B"]) -> Clips:
    """Returns clips after downsampling by the nearest pixel and bilinear upsampling.

    Args:
        clips: Clips in [0, 1].
        choice: Position of each clip's factor in `SHRUNK`.
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
    """Returns clips blended with their convolution by a 3 x 3 sharpening kernel.

    The kernel is 8 + `lightness` in the centre and -1 elsewhere.

    Args:
        clips: Clips in [0, 1].
        strength: Weight of the convolution, from 0 to 1.
        lightness: Sum of the kernel.
    """
    edges = jnp.pad(clips, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    rows = edges[:, :, :-2] + edges[:, :, 1:-1] + edges[:, :, 2:]
    around = rows[:, :, :, :-2] + rows[:, :, :, 1:-1] + rows[:, :, :, 2:]  # with the middle
    strength, lightness = (v[:, None, None, None, None] for v in (strength, lightness))
    kernel = (9 + lightness) * clips - around
    return jnp.clip(clips + strength * (kernel - clips), 0, 1)
