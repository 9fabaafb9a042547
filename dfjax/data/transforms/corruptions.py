"""Corruptions of clips at five levels, to test how robust a detector is.

They are applied to face crops as the model gets them, on the device; H.264 is applied on the host
(`h264_clips`). The level is an array, so that one compiled program has all corruptions and levels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from dfjax.ops.blur import gaussian_blur, rescale
from dfjax.ops.color import Colour, add_noise, change_colour, mean_luma
from dfjax.ops.jpeg import compress_jpeg

TAPS = 25  # of the Gaussian, three standard deviations of the strongest blur on either side

Clips = Float[Array, "B T H W 3"]
Mask = Bool[Array, "B T"]
PerClip = Float[Array, "B"]
Keys = Key[Array, "B"]
Corrupt = Callable[[Clips, Mask, PerClip, Keys], Clips]


class Corruption(NamedTuple):
    """A corruption and its five levels, the mildest first.

    Attributes:
        severity: What the values are.
        values: Value of each level.
    """

    severity: str
    values: tuple[float, ...]


CORRUPTIONS = {
    "jpeg": Corruption("JPEG quality", (90, 70, 50, 30, 10)),
    "h264": Corruption("constant rate factor of x264", (18, 23, 28, 33, 40)),
    "blur": Corruption("standard deviation in pixels of the crop", (0.5, 1, 1.5, 2.5, 4)),
    "noise": Corruption("standard deviation, of a range of 1", (0.01, 0.02, 0.05, 0.1, 0.2)),
    "resize": Corruption("size to which the crop is reduced", (0.75, 0.5, 0.35, 0.25, 0.125)),
    "contrast": Corruption("factor of the contrast", (0.8, 0.6, 0.45, 0.3, 0.15)),
    "saturation": Corruption("factor of the saturation", (0.8, 0.6, 0.4, 0.2, 0.0)),
    "frame_drop": Corruption("share of frames that repeat the last", (0.1, 0.2, 0.3, 0.5, 0.7)),
}  # fmt: skip
"""Corruptions by name. The values are ours; x264's 23 and 40 are those of FaceForensics++."""


def keep(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    """Returns the clips unchanged."""
    return clips


def _jpeg(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    return compress_jpeg(clips, value)


def _blur(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    return gaussian_blur(clips, value, taps=TAPS)


def _noise(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    return add_noise(clips, value, keys)


def _resize(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    return rescale(clips, jnp.where(value > 0, value, 1.0))


def _colour(clips: Clips, mask: Mask, contrast: PerClip, saturation: PerClip) -> Clips:
    one, zero = jnp.ones_like(contrast), jnp.zeros_like(contrast)
    luma = mean_luma(clips, mask.astype(clips.dtype))
    return change_colour(clips, Colour(one, zero, contrast, saturation, zero), luma)


def _contrast(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    return _colour(clips, mask, value, jnp.ones_like(value))


def _saturation(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    return _colour(clips, mask, jnp.ones_like(value), value)


def _frame_drop(clips: Clips, mask: Mask, value: PerClip, keys: Keys) -> Clips:
    frames = clips.shape[1]
    draws = jax.vmap(lambda key: jax.random.uniform(key, (frames,)))(keys)
    first = jnp.argmax(mask, axis=1)[:, None] == jnp.arange(frames)
    kept = (draws >= value[:, None]) | first  # the first frame has none before it
    last = jax.lax.cummax(jnp.where(kept, jnp.arange(frames), -1), axis=1)
    shown = jnp.where(mask & (last >= 0), last, jnp.arange(frames))
    return jnp.take_along_axis(clips, shown[:, :, None, None, None], axis=1)


ON_DEVICE: dict[str, Corrupt] = {
    "none": keep,
    "jpeg": _jpeg,
    "blur": _blur,
    "noise": _noise,
    "resize": _resize,
    "contrast": _contrast,
    "saturation": _saturation,
    "frame_drop": _frame_drop,
}
"""Functions on the device, by name; the place of a name is its `kind`."""


def corrupt_clips(
    clips: UInt8[Array, "B T H W 3"],
    mask: Mask,
    kind: Int[Array, ""],
    value: PerClip,
    keys: Keys,
) -> UInt8[Array, "B T H W 3"]:
    """Returns clips after a corruption, rounded to whole pixel values.

    Args:
        clips: Clips of face crops.
        mask: False on padding.
        kind: Place of the corruption in `ON_DEVICE`.
        value: Value of the level for each clip.
        keys: Random key of each clip.
    """
    scaled = clips.astype(jnp.float32) / 255
    found = jax.lax.switch(kind, list(ON_DEVICE.values()), scaled, mask, value, keys)
    rounded = jnp.round(255 * jnp.clip(found, 0, 1)).astype(jnp.uint8)
    return jnp.where(kind == 0, clips, rounded)
