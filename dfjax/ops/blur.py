"""Reduces the sharpness of images by Gaussian blur and by down- and upsampling."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.ops.separable import apply_matrices, gaussian_matrix, rescale_matrix

Images = Float[Array, "N *frames H W C"]
PerImage = Float[Array, "N"]


def gaussian_blur(images: Images, sigma: PerImage, *, taps: int) -> Images:
    """Returns `images` blurred by a Gaussian with one standard deviation per image.

    Args:
        images: Images or clips, channels last. All frames of a clip share its `sigma`.
        sigma: Standard deviations in pixels; 0 leaves the image unchanged.
        taps: Length of the kernel in pixels, an odd number.
    """
    return lose_detail(images, sigma, jnp.ones_like(sigma), taps=taps)


def rescale(images: Images, factor: PerImage) -> Images:
    """Returns `images` downsampled by one `factor` per image and upsampled to their size again.

    The result equals that of two calls of `dfjax.ops.resize.resize`.

    Args:
        images: Images or clips, channels last. All frames of a clip share its `factor`.
        factor: Size of the downsampled image relative to the original, in (0, 1].
    """
    return lose_detail(images, jnp.zeros_like(factor), factor, taps=1)


def lose_detail(images: Images, sigma: PerImage, factor: PerImage, *, taps: int) -> Images:
    """Returns `images` blurred, then downsampled and upsampled to their size again.

    The matrices of both filters are multiplied first, so that applying both costs as much as
    applying one.

    Args:
        images: Images or clips, channels last. All frames of a clip share its parameters.
        sigma: Standard deviations of the Gaussian in pixels; 0 applies no blur.
        factor: Size of the downsampled image relative to the original, in (0, 1]; 1 keeps it.
        taps: Length of the Gaussian's kernel in pixels, an odd number.
    """
    height, width = images.shape[-3:-1]
    matrices = {
        size: rescale_matrix(size, factor) @ gaussian_matrix(size, sigma, taps)
        for size in {height, width}
    }
    return apply_matrices(images, matrices[height], matrices[width])
