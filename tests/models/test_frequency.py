import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

from dfjax.models.frequency import FLOOR, FrequencyCNN, log_magnitude
from dfjax.ops.spectrum import dct_matrix


@pytest.mark.parametrize("size", [8, 9])
def test_the_transforms_are_those_of_scipy(size):
    images = np.asarray(jax.random.normal(jax.random.key(size), (2, size, size, 3)))
    dct = scipy.fft.dctn(images, axes=(1, 2), norm="ortho")
    fft = scipy.fft.fftshift(scipy.fft.fft2(images, axes=(1, 2), norm="ortho"), axes=(1, 2))
    for transform, expected in (("dct", dct), ("fft", fft)):
        actual = log_magnitude(jnp.asarray(images), transform)
        np.testing.assert_allclose(
            actual, 0.5 * np.log(np.abs(expected) ** 2 + FLOOR**2), atol=2e-4
        )


def test_a_cosine_is_one_frequency_and_black_is_the_floor():
    wave = dct_matrix(8)[3]
    image = np.tile(wave, (8, 1))[None, ..., None]  # constant down the columns
    spectrum = np.exp(log_magnitude(jnp.asarray(image), "dct"))[0, :, :, 0]
    expected = np.full((8, 8), FLOOR)
    expected[0, 3] = np.sqrt(8)
    np.testing.assert_allclose(spectrum, expected, rtol=1e-3)
    black = log_magnitude(jnp.zeros((1, 4, 4, 1)), "fft")
    np.testing.assert_allclose(black, np.log(FLOOR), rtol=1e-5)


@pytest.mark.parametrize("transform", ["dct", "fft"])
def test_products_are_exact_on_every_device(transform):
    traced = jax.make_jaxpr(lambda x: log_magnitude(x, transform))(jnp.zeros((1, 4, 4, 1)))
    products = re.findall("precision=(.*)", str(traced))
    assert products
    assert all("HIGHEST" in line for line in products)


@pytest.mark.parametrize("transform", ["dct", "fft"])
def test_gradients_by_the_pixels_are_finite_where_there_is_nothing(transform):
    grad = jax.grad(lambda x: log_magnitude(x, transform).sum())(jnp.zeros((1, 4, 4, 1)))
    assert np.isfinite(grad).all()


def test_padding_frames_change_nothing():
    clip = jax.random.normal(jax.random.key(0), (2, 3, 8, 8, 3))
    mask = jnp.array([[True, True, True], [False, True, False]])
    network = FrequencyCNN("dct", (4,))
    run = jax.jit(lambda x: network.init_with_output(jax.random.key(1), x, mask, train=True))
    runs = [run(x) for x in (clip, jnp.where(mask[:, :, None, None, None], clip, jnp.nan))]
    jax.tree.map(np.testing.assert_array_equal, *runs)
