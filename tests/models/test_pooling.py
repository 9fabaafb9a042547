import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.pooling import (
    QueryAttention,
    TemporalAttention,
    last_state,
    masked_mean,
    masked_softmax,
)

X = jax.random.normal(jax.random.key(0), (3, 4, 6))
MASK = jnp.array([[True] * 4, [False, True, True, False], [False] * 4])


def test_masked_mean_by_hand():
    x = jnp.array([[[1.0], [3.0], [9.0]], [[5.0], [5.0], [5.0]]])
    mask = jnp.array([[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(masked_mean(x, mask), [[2.0], [0.0]])


def test_masked_softmax_is_that_of_the_valid_scores():
    weights = masked_softmax(X[..., 0], MASK)
    np.testing.assert_allclose(weights[0], jax.nn.softmax(X[0, :, 0]), rtol=1e-6)
    np.testing.assert_allclose(weights[1, 1:3], jax.nn.softmax(X[1, 1:3, 0]), rtol=1e-6)
    np.testing.assert_array_equal(weights[1, ::3], 0)
    np.testing.assert_array_equal(weights[2], 0)


@pytest.mark.parametrize("pooling", [QueryAttention(), TemporalAttention()])
def test_attention_ignores_what_the_mask_hides(pooling):
    variables = pooling.init(jax.random.key(1), X, MASK)
    hidden = jnp.where(MASK[..., None], X, jnp.nan)

    def run(x):
        pooled, weights = pooling.apply(variables, x, MASK)
        return jnp.sum(pooled**2), (pooled, weights)

    gradient, (pooled, weights) = jax.grad(run, has_aux=True)(hidden)
    _, expected = run(X)
    jax.tree.map(np.testing.assert_array_equal, (pooled, weights), expected)
    np.testing.assert_allclose(weights.sum(1), [1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(pooled[0], weights[0] @ X[0], atol=1e-6)
    assert np.isfinite(gradient).all()


def test_the_query_chooses_the_frame_that_points_its_way():
    x = 40 * jnp.eye(3)[None]
    variables = {"params": {"query": jnp.array([[0.0], [1.0], [0.0]])}}
    pooled, weights = QueryAttention().apply(variables, x, jnp.ones((1, 3), bool))
    np.testing.assert_allclose(weights[0], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(pooled, x[:, 1], atol=1e-6)


def test_last_state_reads_each_direction_where_it_ends():
    forward = last_state(X, MASK, bidirectional=False)
    np.testing.assert_array_equal(forward, jnp.stack([X[0, 3], X[1, 2], jnp.zeros(6)]))
    both = last_state(X, MASK, bidirectional=True)
    np.testing.assert_array_equal(both[:, :3], forward[:, :3])
    np.testing.assert_array_equal(both[:, 3:], [X[0, 0, 3:], X[1, 1, 3:], np.zeros(3)])
