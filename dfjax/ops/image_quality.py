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
    mean_a, mean_b = _box_mean(images), _box_mean(reference)
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    var_a = unbiased * (_box_mean(images * images) - mean_a * mean_a)
    var_b = unbiased * (_box_mean(reference * reference) - mean_b * mean_b)
    covariance = unbiased * (_box_mean(images * reference) - mean_a * mean_b)
    c1, c2 = K1**2, K2**2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return jnp.mean(above / below, (-3, -2, -1))


def _box_mean(images: Images) -> Float[Array, "*batch h w C"]:
    window = (*(1,) * (images.ndim - 3), WINDOW, WINDOW, 1)
    strides = (1,) * images.ndim
    sums = jax.lax.reduce_window(images, 0.0, jax.lax.add, window, strides, "valid")
    return sums / WINDOW**2
