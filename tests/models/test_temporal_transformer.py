import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models.summary import count
from dfjax.models.temporal_transformer import Attention, Encoder, sinusoids

X = jax.random.normal(jax.random.key(0), (2, 5, 8))
MASK = jnp.array([[True] * 5, [False, True, True, True, False]])
SMALL = Encoder(2, heads=2, feed_forward=12)


def init(layer, *inputs):
    return jax.jit(lambda key: layer.init(key, *inputs, train=False))(jax.random.key(1))


def apply(layer, variables, *inputs):
    return jax.jit(lambda v: layer.apply(v, *inputs, train=False))(variables)


def test_the_published_counts():
    x, mask = jnp.zeros((1, 3, 256)), jnp.ones((1, 3), bool)
    shapes = jax.eval_shape(
        lambda key: Encoder().init(key, x, mask, train=False), jax.random.key(0)
    )
    assert count(shapes["params"]) == 2_108_416


def test_sinusoids_by_hand():
    table = sinusoids(3, 4)
    expected = [[np.sin(t), np.cos(t), np.sin(t / 100), np.cos(t / 100)] for t in range(3)]
    np.testing.assert_allclose(table, expected, atol=1e-7)


def test_one_head_by_hand():
    layer = Attention(1)
    query, context = X[:, :1], X
    variables = init(layer, query, context, MASK)
    p = variables["params"]
    q, k, v = (x @ p[name]["kernel"] for name, x in (("query", query), ("key", X), ("value", X)))
    scores = jnp.where(MASK[:, None], q @ k.swapaxes(1, 2) / np.sqrt(8), -jnp.inf)
    expected = jax.nn.softmax(scores) @ v @ p["output"]["kernel"]
    got = apply(layer, variables, query, context, MASK)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_every_frame_is_treated_alike():
    """Without positions another order of frames is another order of the results."""
    variables = init(SMALL, X, MASK)
    order = jnp.array([3, 0, 4, 2, 1])
    states = apply(SMALL, variables, X, MASK)
    shuffled = apply(SMALL, variables, X[:, order], MASK[:, order])
    np.testing.assert_allclose(shuffled, states[:, order], atol=1e-5)


def test_gradients():
    """All but those of the keys' biases, which add one number to all scores of a query."""
    variables = init(SMALL, X, MASK)
    weight = jax.random.normal(jax.random.key(1), X.shape) * MASK[..., None]

    def loss(variables, x, mask):
        return jnp.sum(weight * SMALL.apply(variables, x, mask, train=False))

    grad = jax.jit(jax.grad(loss, argnums=(0, 1)))
    gradients, of_x = grad(variables, X, MASK)
    np.testing.assert_array_equal(of_x[~MASK], 0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        if [key.key for key in path[-2:]] == ["key", "bias"]:
            np.testing.assert_allclose(leaf, 0, atol=1e-5)
        else:
            assert np.all(leaf != 0) or path[-2].key == "hidden", path


def test_a_clip_without_a_frame_stays_finite():
    variables = init(SMALL, X, MASK)

    def run(variables):
        return jnp.sum(SMALL.apply(variables, X, jnp.zeros_like(MASK), train=False) ** 2)

    gradients = jax.jit(jax.grad(run))(variables)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_dropout_is_drawn_from_the_stream():
    variables = init(SMALL, X, MASK)

    @jax.jit
    def run(variables):
        rngs = {"dropout": jax.random.key(0)}
        drawn = (SMALL.apply(variables, X, MASK, train=t, rngs=rngs) for t in (True, False))
        return *drawn, SMALL.apply(variables, X, MASK, train=False)

    trained, monte_carlo, plain = run(variables)
    np.testing.assert_allclose(monte_carlo, trained, atol=1e-6)
    assert np.any(np.abs(trained - plain) > 1e-2)
