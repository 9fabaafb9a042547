import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops.lowering import MATMUL, NATIVE
from dfjax.ops.pool import max_pool


@pytest.mark.parametrize("lowering", [NATIVE, MATMUL])
def test_by_hand(lowering):
    x = jnp.array([[0.0, 5, 9], [3, 5, 9], [9, 9, 9]]).reshape(1, 3, 3, 1)
    y, pull = jax.vjp(lambda x: max_pool(x, lowering=lowering), x)
    assert y.ravel().tolist() == [5]  # the odd row and column are left out
    (dx,) = pull(jnp.full((1, 1, 1, 1), 7.0))
    assert dx[0, :, :, 0].tolist() == [[0, 7, 0], [0, 0, 0], [0, 0, 0]]  # the first of two fives


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_lowerings_agree_exactly_ties_included(size, dtype):
    x = jax.random.randint(jax.random.key(0), (2, *size, 3), 0, 3).astype(dtype)
    results = []
    for lowering in (NATIVE, MATMUL):
        y, pull = jax.vjp(lambda x, lowering=lowering: max_pool(x, lowering=lowering), x)
        results.append((y, *pull(jax.random.normal(jax.random.key(1), y.shape, dtype))))
    for native, other in zip(*results):
        assert native.dtype == other.dtype == dtype
        np.testing.assert_array_equal(native, other)


@pytest.mark.parametrize("lowering", [NATIVE, MATMUL])
@pytest.mark.parametrize("place", range(4))
def test_nan_stays(lowering, place):
    x = jnp.arange(4.0).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
    assert jnp.isnan(max_pool(x, lowering=lowering)).all()
