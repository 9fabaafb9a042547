import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops.lowering import MATMUL, NATIVE
from dfjax.ops.padding import pad_amounts
from dfjax.ops.pool import max_pool


@pytest.mark.parametrize("lowering", [NATIVE, MATMUL])
def test_by_hand(lowering):
    x = jnp.array([[0.0, 5, 9], [3, 5, 9], [9, 9, 9]]).reshape(1, 3, 3, 1)
    y, pull = jax.vjp(lambda x: max_pool(x, lowering=lowering), x)
    assert y.ravel().tolist() == [5]  # the odd row and column are left out
    (dx,) = pull(jnp.full((1, 1, 1, 1), 7.0))
    assert dx[0, :, :, 0].tolist() == [[0, 7, 0], [0, 0, 0], [0, 0, 0]]  # the first of two fives


@pytest.mark.parametrize("lowering", [NATIVE, MATMUL])
def test_overlapping_squares_by_hand(lowering):
    x = jnp.array([[-1.0, -2, -8], [-3, -4, -7], [-5, -6, -9]]).reshape(1, 3, 3, 1)

    def pool(x):
        return max_pool(x, window=3, padding=((1, 1), (1, 1)), lowering=lowering)

    y, pull = jax.vjp(pool, x)
    assert y[0, :, :, 0].tolist() == [[-1, -2], [-3, -4]]  # the padding is not zero
    (dx,) = pull(jnp.arange(1.0, 5).reshape(1, 2, 2, 1))
    assert dx[0, :, :, 0].tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "size,window,flavour,dtype",
    [
        ((4, 6), 2, None, jnp.bfloat16),
        ((5, 7), 2, None, jnp.float32),
        ((5, 7), 3, "symmetric", jnp.float32),
        ((4, 6), 3, "symmetric", jnp.bfloat16),
        ((4, 7), 3, "same", jnp.float32),
    ],
)
def test_lowerings_agree_exactly_ties_included(size, window, flavour, dtype):
    x = jax.random.randint(jax.random.key(0), (2, *size, 3), 0, 3).astype(dtype)
    padding = pad_amounts(flavour, size, window, 2, native=0) if flavour else ((0, 0), (0, 0))

    @jax.jit
    def both(x):
        results = []
        for lowering in (NATIVE, MATMUL):

            def pool(x, lowering=lowering):
                return max_pool(x, window=window, padding=padding, lowering=lowering)

            y, pull = jax.vjp(pool, x)
            # whole numbers: the gradients of squares that share a maximum add up exactly
            grad = jax.random.randint(jax.random.key(1), y.shape, -9, 9).astype(dtype)
            results.append((y, *pull(grad)))
        return results

    for native, other in zip(*both(x)):
        assert native.dtype == other.dtype == dtype
        np.testing.assert_array_equal(native, other)


@pytest.mark.parametrize("lowering", [NATIVE, MATMUL])
@pytest.mark.parametrize("place", range(4))
def test_nan_stays(lowering, place):
    x = jnp.arange(4.0).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
    assert jnp.isnan(max_pool(x, lowering=lowering)).all()
