"""A box of each image painted over, so that a model does not rely on one place of the face."""

import jax.numpy as jnp
from jaxtyping import Array, Float

PerImage = Float[Array, "N"]


def erase_box(
    images: Float[Array, "N *frames H W C"],
    width: PerImage,
    height: PerImage,
    x: PerImage,
    y: PerImage,
    fill: Float[Array, "C"],
) -> Float[Array, "N *frames H W C"]:
    """Returns `images` with one box each painted over, the same in all frames of a clip.

    Zhong et al. 2020, "Random Erasing Data Augmentation".

    Args:
        images: channels last.
        width: of the box, relative to the image; 0 paints nothing.
        height: of the box, relative to the image.
        x: 0 puts the box at the left edge, 1 at the right one.
        y: 0 puts the box at the top, 1 at the bottom.
        fill: the colour.
    """
    rows = _covers(images.shape[-3], height, y)[:, :, None]
    box = (rows & _covers(images.shape[-2], width, x)[:, None, :])[..., None]
    return jnp.where(box.reshape(len(x), *(1,) * (images.ndim - 4), *box.shape[1:]), fill, images)


def _covers(size: int, length: PerImage, place: PerImage) -> Array:
    """Which pixels of an axis have their centre in the box, bool[N, size]."""
    length = jnp.clip(length, 0, 1)[:, None]
    first = place[:, None] * (1 - length)
    centre = (jnp.arange(size) + 0.5) / size
    return (centre >= first) & (centre < first + length)
