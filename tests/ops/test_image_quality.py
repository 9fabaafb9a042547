import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from dfjax.ops.image_quality import compute_psnr, compute_ssim

rng = np.random.default_rng(0)


def make_pair(noise, shape=(3, 20, 17, 3)):
    smooth = np.cumsum(rng.normal(size=shape), axis=1) / 20 + 0.5
    reference = np.clip(smooth, 0, 1)
    image = np.clip(reference + noise * rng.normal(size=shape), 0, 1)
    return jnp.asarray(image, jnp.float32), jnp.asarray(reference, jnp.float32)


def ssim_by_definition(image, reference):
    """Wang et al. (2004) in float64 over all 7 x 7 windows, with sample covariances."""
    a, b = (
        sliding_window_view(np.asarray(x, np.float64), (7, 7), axis=(0, 1)).reshape(-1, 49)
        for x in (image, reference)
    )
    mean_a, mean_b = a.mean(1), b.mean(1)
    covariance = ((a - mean_a[:, None]) * (b - mean_b[:, None])).sum(1) / 48
    above = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    below = (mean_a**2 + mean_b**2 + 1e-4) * (a.var(1, ddof=1) + b.var(1, ddof=1) + 9e-4)
    return (above / below).mean()


@pytest.mark.parametrize("noise", [0.003, 0.05, 0.4])
def test_both_agree_with_their_definitions_in_float64(noise):
    images, references = make_pair(noise)
    errors = np.square(np.asarray(images, np.float64) - references).mean((1, 2, 3))
    expected = [ssim_by_definition(*pair) for pair in zip(images, references)]
    np.testing.assert_allclose(compute_psnr(images, references), -10 * np.log10(errors), atol=1e-3)
    np.testing.assert_allclose(compute_ssim(images, references), expected, atol=1e-4)


def test_an_image_is_most_like_itself():
    image, _ = make_pair(0.1)
    np.testing.assert_allclose(compute_psnr(image, image), 100)
    np.testing.assert_allclose(compute_ssim(image, image), 1, atol=1e-5)
