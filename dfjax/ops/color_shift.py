"""Colour shifts along the principal axes of the colours of a clip, and in HSV space."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.ops.separable import EXACT

Clips = Float[Array, "N T H W 3"]


def shift_principal(clips: Clips, mask: Float[Array, "N T"], amount: Float[Array, "N"]) -> Clips:
    """Returns clips with one colour added to all pixels of a clip, clipped to [0, 1].

    This is "Fancy PCA" of Krizhevsky et al. (2012): the shift is the sum of the principal axes of
    the colours, each scaled by `amount` times its variance. The axes are oriented so that a
    positive amount increases the sum of red, green and blue. albumentations 1.1.0 multiplies by the
    transpose of the axes; its shift has the same length, but its direction depends on their signs.

    Args:
        clips: RGB clips with values in [0, 1].
        mask: Weights of the frames in the covariance: 1, or 0 for padding.
        amount: Factor of each clip, positive or negative.
    """
    axes, variances = principal_axes(clips, mask)
    shift = jnp.einsum("nck,nk->nc", axes, variances, precision=EXACT) * amount[:, None]
    return jnp.clip(clips + shift[:, None, None, None, :], 0, 1)


def principal_axes(
    clips: Clips, mask: Float[Array, "N T"]
) -> tuple[Float[Array, "N 3 3"], Float[Array, "N 3"]]:
    """Returns the principal axes of the colours of each clip, as columns, and their variances.

    Args:
        clips: RGB clips.
        mask: Weights of the frames: 1, or 0 for padding.
    """
    weight = mask[:, :, None, None]
    count = mask.sum(axis=1) * (clips.shape[2] * clips.shape[3])
    mean = (clips * weight[..., None]).sum(axis=(1, 2, 3)) / jnp.maximum(count, 1)[:, None]
    off = (clips - mean[:, None, None, None, :]) * weight[..., None]
    channels = [off[..., channel] for channel in range(3)]
    # Nine sums in one pass over the pixels; a matrix product of width 3 is slower on a CPU.
    sums = [[(a * b).sum(axis=(1, 2, 3)) for b in channels] for a in channels]
    covariance = jnp.stack([jnp.stack(row, -1) for row in sums], -2)
    variances, axes = jnp.linalg.eigh(covariance / jnp.maximum(count - 1, 1)[:, None, None])
    return axes * jnp.where(axes.sum(axis=1, keepdims=True) < 0, -1, 1), variances


def shift_hsv(images: Float[Array, "N *frames H W 3"], shift: Float[Array, "N 3"]) -> Array:
    """Returns RGB images with hue, saturation and value shifted.

    Saturation and value are clipped to [0, 1], and hue is periodic. Gray has hue 0 (red), as in
    OpenCV, so that an increase of saturation makes it reddish.

    Args:
        images: RGB images or clips with values in [0, 1]. All frames of a clip share its shift.
        shift: Shifts of hue (in turns), of saturation and of value.
    """
    hue, saturation, value = to_hsv(images)
    shift = shift.reshape(-1, *(1,) * (images.ndim - 2), 3)
    hue = hue + shift[..., 0]
    saturation = jnp.clip(saturation + shift[..., 1], 0, 1)
    value = jnp.clip(value + shift[..., 2], 0, 1)
    # A channel is lower than `value` by the chroma where its hue is on the opposite side.
    distance = [(6 * hue + offset) % 6 for offset in (5, 3, 1)]  # of red, green, blue
    fall = [jnp.clip(jnp.minimum(d, 4 - d), 0, 1) for d in distance]
    return jnp.stack([value * (1 - saturation * f) for f in fall], axis=-1)


def to_hsv(images: Float[Array, "*frames H W 3"]) -> tuple[Array, Array, Array]:
    """Returns hue (in turns, [0, 1)), saturation and value of RGB images with values in [0, 1]."""
    r, g, b = (images[..., channel] for channel in range(3))
    value = jnp.maximum(jnp.maximum(r, g), b)
    chroma = value - jnp.minimum(jnp.minimum(r, g), b)
    divisor = jnp.where(chroma > 0, chroma, 1)
    sixths = jnp.where(
        value == r,
        (g - b) / divisor,
        jnp.where(value == g, 2 + (b - r) / divisor, 4 + (r - g) / divisor),
    )
    hue = jnp.where(chroma > 0, (sixths / 6) % 1, 0)
    return hue, jnp.where(value > 0, chroma / jnp.where(value > 0, value, 1), 0), value
