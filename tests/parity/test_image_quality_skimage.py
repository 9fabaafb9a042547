"""SSIM and PSNR against scikit-image."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dfjax.ops.image_quality import compute_psnr, compute_ssim

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("size", [(7, 7), (64, 64), (33, 50)])
@pytest.mark.parametrize("noise", [0.002, 0.05, 0.4])
def test_they_are_those_of_scikit_image(size, noise):
    rng = np.random.default_rng(0)
    reference = np.cumsum(rng.normal(size=(3, *size, 3)), axis=1) / 20 + 0.5
    reference = np.clip(reference, 0, 1)
    images = np.clip(reference + noise * rng.normal(size=reference.shape), 0, 1)
    pairs = list(zip(images, reference))
    ssim = [structural_similarity(a, b, data_range=1, channel_axis=-1) for a, b in pairs]
    psnr = [peak_signal_noise_ratio(b, a, data_range=1) for a, b in pairs]
    given = jnp.asarray(images, jnp.float32), jnp.asarray(reference, jnp.float32)
    np.testing.assert_allclose(compute_ssim(*given), ssim, rtol=0, atol=1e-4)
    np.testing.assert_allclose(compute_psnr(*given), psnr, rtol=0, atol=1e-3)


def test_of_constant_images_too():
    flat = np.full((16, 16, 3), 0.5)
    other = flat + 0.1
    expected = structural_similarity(other, flat, data_range=1, channel_axis=-1)
    found = compute_ssim(*(jnp.asarray(x, jnp.float32) for x in (other, flat)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
