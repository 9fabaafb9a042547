import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from dfjax.ops import noise_residual
from dfjax.ops.noise_residual import KERNELS, LIMIT

srm_residual = jax.jit(noise_residual.srm_residual)


def smooth(rng, height, width):
    """Frames of little contrast, of which some residuals are below the limit and some above."""
    return np.round(rng.uniform(100, 102, (2, 3, height, width, 3))).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 7), (5, 12)])
def test_residuals_are_those_of_scipy(height, width):
    images = smooth(np.random.default_rng(height), height, width)
    actual = np.asarray(srm_residual(jnp.asarray(images)))
    total = images.sum(-1).astype(np.float64)
    for number, kernel in enumerate(KERNELS):
        filtered = [
            [scipy.ndimage.correlate(frame, np.atleast_2d(kernel), mode="constant") for frame in c]
            for c in total
        ]
        expected = np.clip(filtered, -3, 3)
        np.testing.assert_allclose(actual[..., number], expected, atol=1e-4)
        convolved = scipy.signal.convolve2d(total[0, 0], np.atleast_2d(kernel), mode="same")
        np.testing.assert_allclose(actual[0, 0, :, :, number], np.clip(convolved, -3, 3), atol=1e-4)
    inner = np.abs(actual[:, :, 2:-2, 2:-2])
    assert (inner == LIMIT).any() and ((inner > 0) & (inner < LIMIT)).any()


def test_every_filter_removes_planes_and_has_its_sign():
    """Residuals of a linear ramp are 0 inside; of a bright pixel, the filters themselves."""
    y, x = np.mgrid[:11, :11]
    ramp = np.repeat((3.0 * y + 2 * x)[..., None], 3, -1).astype(np.float32)
    np.testing.assert_allclose(srm_residual(jnp.asarray(ramp))[2:-2, 2:-2], 0, atol=1e-4)
    dot = np.zeros((11, 11, 3), np.float32)
    dot[5, 5, 1] = 1
    residual = np.asarray(srm_residual(jnp.asarray(dot)))
    np.testing.assert_allclose(residual[5, 5], [-1, -1, -1], atol=1e-6)
    np.testing.assert_allclose(residual[5, 3:8, 1], np.array([-2, 8, -12, 8, -2]) / 12, atol=1e-6)
    np.testing.assert_allclose(residual[5, 4:7, 2], [0.5, -1, 0.5], atol=1e-6)
    assert not residual[4, :, 2].any()


def test_gradients_are_finite_and_0_where_values_are_truncated():
    images = jnp.asarray(smooth(np.random.default_rng(0), 9, 9)[0])
    grad = jax.jit(jax.grad(lambda x: jnp.sum(srm_residual(x) ** 2)))
    assert np.isfinite(grad(images)).all() and np.asarray(grad(images)).any()
    steep = images * jnp.asarray((np.indices((9, 9)).sum(0) % 2)[..., None])  # a checkerboard
    np.testing.assert_array_equal(grad(steep)[:, 3:-3, 3:-3], 0)
