import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops import spectrum
from dfjax.ops.spectrum import FAINT

phase_image = jax.jit(spectrum.phase_image)


def by_numpy(images, faint):
    """The same by FFT in double precision, of images [..., h, w, c]."""
    gray = images.astype(np.float64).mean(-1)
    waves = np.fft.fft2(gray, norm="ortho")
    unit = waves / np.sqrt(np.abs(waves) ** 2 + faint**2)
    return np.fft.ifft2(unit, norm="ortho").real[..., None]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 7), (7, 10), (64, 48), (225, 225)])
def test_the_image_is_that_of_numpy(height, width):
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype(np.float32)
    actual = phase_image(jnp.asarray(images))
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, by_numpy(images, FAINT), atol=2e-4)
    # Every frequency of these images is far above rounding, so the source's own formula agrees.
    np.testing.assert_allclose(actual, by_numpy(images, 0), atol=2e-2)


def test_a_smooth_image_is_exact_to_its_faintest_frequency():
    """A bright blob: its mean is 10^5 times its highest frequencies, which are pixel rounding."""
    y, x = np.mgrid[:64, :64] / 64
    blob = np.round(200 * np.exp(-8 * ((y - 0.4) ** 2 + (x - 0.6) ** 2)) + 30)
    images = np.repeat(blob[None, ..., None], 3, -1).astype(np.float32)
    np.testing.assert_allclose(phase_image(jnp.asarray(images)), by_numpy(images, FAINT), atol=3e-4)


def test_values_depend_on_the_phase_alone_and_have_a_mean_square_of_1():
    images = np.random.default_rng(1).uniform(20, 200, (1, 32, 32, 3)).astype(np.float32)
    plain = np.asarray(phase_image(jnp.asarray(images)))
    np.testing.assert_allclose(np.mean(plain**2), 1, atol=1e-3)
    # Contrast changes the magnitude alone, and so does a symmetric blur.
    waves = np.fft.fft2(images, axes=(1, 2))
    k = np.fft.fftfreq(32)
    blur = np.exp(-4 * (k[:, None] ** 2 + k**2))[..., None]
    blurred = np.fft.ifft2(waves * blur, axes=(1, 2)).real.astype(np.float32)
    for changed in (0.5 * images, blurred):
        np.testing.assert_allclose(phase_image(jnp.asarray(changed)), plain, atol=1e-2)
    shifted = np.roll(images, 3, axis=1)
    np.testing.assert_allclose(phase_image(jnp.asarray(shifted)), np.roll(plain, 3, 1), atol=1e-4)


def test_black_stays_black_and_gradients_are_finite():
    black = jnp.zeros((1, 9, 8, 3))
    np.testing.assert_array_equal(phase_image(black), 0)
    target = jnp.asarray(np.random.default_rng(0).normal(size=(1, 9, 8, 1)).astype(np.float32))
    grad = jax.jit(jax.grad(lambda x: jnp.sum(phase_image(x) * target)))
    for images in (black, jnp.full((1, 9, 8, 3), 255.0)):
        assert np.isfinite(grad(images)).all()


def test_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(2)
    images, target = (rng.uniform(0, 255, (6, 5, c)).astype(np.float32) for c in (3, 1))
    direction = rng.normal(size=images.shape).astype(np.float32)
    grad = jax.jit(jax.grad(lambda x: jnp.sum(phase_image(x) * target)))(jnp.asarray(images))
    steps = [np.sum(by_numpy(images + s * direction.astype(np.float64), FAINT) * target)
             for s in (0.01, -0.01)]  # fmt: skip
    np.testing.assert_allclose(np.vdot(grad, direction), (steps[0] - steps[1]) / 0.02, rtol=1e-3)


def test_products_are_exact_on_every_device():
    traced = str(jax.make_jaxpr(spectrum.phase_image)(jnp.zeros((1, 4, 4, 3))))
    lines = [line for line in traced.split("\n") if "precision=" in line]
    assert lines and all("HIGHEST" in line for line in lines)
