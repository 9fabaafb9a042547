"""Shifts of colour that are not one affine map: along principal colours, and in HSV."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.ops.separable import EXACT

Clips = Float[Array, "N T H W 3"]


def shift_principal(clips: Clips, mask: Float[Array, "N T"], amount: Float[Array, "N"]) -> Clips:
    """Returns clips of values in [0, 1], each shifted by one colour, and cut to [0, 1] again.

    "Fancy PCA" of Krizhevsky et al. 2012 (AlexNet): the shift is the sum of the principal axes of
    the pixels' colours, each as long as `amount` times its variance. An axis points to where red,
    green and blue sum to more, so that a positive amount brightens. albumentations 1.1.0 multiplies
    by the transpose of the axes; its shift is as long, but its direction depends on their signs.

    Args:
        clips: All frames of a clip have the same shift.
        mask: Weights of the frames in the covariance: 1, or 0 for padding.
        amount: Factor of each clip, of both signs.
    """
    axes, variances = principal_axes(clips, mask)
    shift = jnp.einsum("nck,nk->nc", axes, variances, precision=EXACT) * amount[:, None]
    return jnp.clip(clips + shift[:, None, None, None, :], 0, 1)


def principal_axes(
    clips: Clips, mask: Float[Array, "N T"]
) -> tuple[Float[Array, "N 3 3"], Float[Array, "N 3"]]:
    """Returns the principal axes of the colours of each clip, as columns, and their variances."""
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
    """Returns RGB images of values in [0, 1] with hue, saturation and value shifted.

    Saturation and value are cut to [0, 1], hue goes round. Gray has hue 0 (red), as in OpenCV, so
    that more saturation reddens it.

    Args:
        images: The frames of a clip share its shift.
        shift: Of hue, in turns of the colour circle, of saturation and of value, in their range.
    """
    hue, saturation, value = to_hsv(images)
    shift = shift.reshape(-1, *(1,) * (images.ndim - 2), 3)
    hue = hue + shift[..., 0]
    saturation = jnp.clip(saturation + shift[..., 1], 0, 1)
    value = jnp.clip(value + shift[..., 2], 0, 1)
    # Channel n falls from `value` by chroma where the hue is on the other side of the circle.
    distance = [(6 * hue + offset) % 6 for offset in (5, 3, 1)]  # of red, green, blue
    fall = [jnp.clip(jnp.minimum(d, 4 - d), 0, 1) for d in distance]
    return jnp.stack([value * (1 - saturation * f) for f in fall], axis=-1)


def to_hsv(images: Float[Array, "*frames H W 3"]) -> tuple[Array, Array, Array]:
    """Returns hue (turns, in [0, 1)), saturation and value of RGB images in [0, 1]."""
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
