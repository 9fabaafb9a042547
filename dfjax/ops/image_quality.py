"""Measures how close images are to a reference: PSNR and SSIM."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "*batch H W C"]

WINDOW = 7  # pixels
K1, K2 = 0.01, 0.03
SMALLEST_ERROR = 1e-10  # mean squared error of identical images, whose PSNR is then 100 dB


def compute_psnr(images: Images, reference: Images) -> Float[Array, "*batch"]:
    """Returns the peak signal-to-noise ratio in dB of images with values in [0, 1].

    Identical images have 100 dB.

    Args:
        images: Images.
        reference: Reference of each image.
    """
    error = jnp.mean(jnp.square(images - reference), (-3, -2, -1))
    return -10 * jnp.log10(jnp.maximum(error, SMALLEST_ERROR))


def compute_ssim(images: Images, reference: Images) -> Float[Array, "*batch"]:
    """Returns the structural similarity of images with values in [0, 1] (Wang et al., 2004).

    It is the mean over channels and over all windows of 7 x 7 pixels, with sample covariances, as
    `skimage.metrics.structural_similarity` computes it with its defaults and `data_range=1`.

    Args:
        images: Images of at least 7 px.
        reference: Reference of each image.
    """
    height, width = (side - WINDOW + 1 for side in images.shape[-3:-1])

    def shift(images: Array, place: Array) -> Array:
        """Returns the pixel `place` of every window."""
        rows = jax.lax.dynamic_slice_in_dim(images, place // WINDOW, height, -3)
        return jax.lax.dynamic_slice_in_dim(rows, place % WINDOW, width, -2)

    def add(place: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        return sums[0] + shift(images, place), sums[1] + shift(reference, place)

    zero = jnp.zeros((*images.shape[:-3], height, width, images.shape[-1]), jnp.float32)
    mean_a, mean_b = (x / WINDOW**2 for x in jax.lax.fori_loop(0, WINDOW**2, add, (zero, zero)))

    # Differences between means of squares and squares of means would lose the digits of flat areas.
    def add_products(place: Array, sums: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        a, b = shift(images, place) - mean_a, shift(reference, place) - mean_b
        return sums[0] + a * a, sums[1] + b * b, sums[2] + a * b

    products = jax.lax.fori_loop(0, WINDOW**2, add_products, (zero, zero, zero))
    var_a, var_b, covariance = (x / (WINDOW**2 - 1) for x in products)
    c1, c2 = K1**2, K2**2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return jnp.mean(above / below, (-3, -2, -1))
