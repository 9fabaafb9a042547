import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops.resize import resize, resize_matrix


def test_growing_by_two_has_the_weights_computed_by_hand():
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_array_equal(resize_matrix(2, 4), np.float32(expected))


def test_halving_averages_with_antialias_and_picks_between_without():
    # centre 0.5, kernel half-width 2: weights 0.75 0.75 0.25 of pixels 0 1 2, cut at the border
    np.testing.assert_allclose(resize_matrix(4, 2)[0], np.array([3, 3, 1, 0]) / 7, rtol=1e-6)
    np.testing.assert_allclose(resize_matrix(4, 2, antialias=False)[0], [0.5, 0.5, 0, 0])


@pytest.mark.parametrize("sizes", [(4, 7), (7, 4), (13, 13), (1, 5), (9, 1)])
def test_rows_sum_to_one_so_constants_stay(sizes):
    np.testing.assert_allclose(resize_matrix(*sizes).sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(7, 7), (5, 16), (12, 3)])
def test_equals_the_library_resize(size, antialias):
    image = jax.random.normal(jax.random.key(0), (2, 12, 9, 3))
    expected = jax.image.resize(image, (2, *size, 3), "bilinear", antialias=antialias)
    np.testing.assert_allclose(resize(image, size, antialias=antialias), expected, atol=1e-5)


def test_same_size_is_the_identity_and_dtype_stays():
    image = jnp.ones((3, 4, 4, 2), jnp.bfloat16)
    assert resize(image, (4, 4)) is image
    assert resize(image, (2, 8)).dtype == jnp.bfloat16


def test_products_are_exact_on_every_device():
    traced = str(jax.make_jaxpr(lambda x: resize(x, (6, 7)))(jnp.zeros((1, 4, 4, 3))))
    assert traced.count("dot_general") == 2
    assert traced.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == 2
