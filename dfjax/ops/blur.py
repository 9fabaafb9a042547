"""Loss of sharpness: Gaussian blur, and shrinking and growing back."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.ops.separable import apply_matrices, gaussian_matrix, rescale_matrix

Images = Float[Array, "N *frames H W C"]
PerImage = Float[Array, "N"]


def gaussian_blur(images: Images, sigma: PerImage, *, taps: int) -> Images:
    """Returns `images` blurred by a Gaussian of their own `sigma`, in pixels.

    Args:
        images: frames of a clip share its sigma.
        sigma: standard deviations; 0 changes nothing.
        taps: odd length of the kernel.
    """
    return lose_detail(images, sigma, jnp.ones_like(sigma), taps=taps)


def rescale(images: Images, factor: PerImage) -> Images:
    """Returns `images` shrunk by their own `factor` in (0, 1] and grown back, as `resize` does."""
    return lose_detail(images, jnp.zeros_like(factor), factor, taps=1)


def lose_detail(images: Images, sigma: PerImage, factor: PerImage, *, taps: int) -> Images:
    """Returns `images` blurred, then shrunk and grown back: both for the price of one.

    Args:
        images: frames of a clip share its numbers.
        sigma: of the Gaussian, pixels; 0 changes nothing.
        factor: in (0, 1]; 1 changes nothing.
        taps: odd length of the Gaussian's kernel.
    """
    height, width = images.shape[-3:-1]
    matrices = {
        size: rescale_matrix(size, factor) @ gaussian_matrix(size, sigma, taps)
        for size in {height, width}
    }
    return apply_matrices(images, matrices[height], matrices[width])
