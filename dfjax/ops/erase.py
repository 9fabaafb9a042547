"""Random erasing: fills one box of each image, so that a model uses more than one region.

Zhong et al. (2020), "Random Erasing Data Augmentation".
"""

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
    """Returns `images` with one box each filled, which is the same in all frames of a clip.

    Args:
        images: Images or clips, channels last.
        width: Width of the box relative to the image; 0 leaves the image unchanged.
        height: Height of the box relative to the image; 0 leaves the image unchanged.
        x: Horizontal position of the box: 0 is the left edge, 1 the right edge.
        y: Vertical position of the box: 0 is the top, 1 the bottom.
        fill: Colour of the box.
    """
    rows = _covers(images.shape[-3], height, y)[:, :, None]
    box = (rows & _covers(images.shape[-2], width, x)[:, None, :])[..., None]
    return jnp.where(box.reshape(len(x), *(1,) * (images.ndim - 4), *box.shape[1:]), fill, images)


def _covers(size: int, length: PerImage, place: PerImage) -> Array:
    """Returns which pixels of an axis have their centre in the box, bool[N, size]."""
    length = jnp.clip(length, 0, 1)[:, None]
    first = place[:, None] * (1 - length)
    centre = (jnp.arange(size) + 0.5) / size
    return (centre >= first) & (centre < first + length)
