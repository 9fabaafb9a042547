import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dfjax.models.initializers import HE_IN, HE_OUT, one_draw
from dfjax.models.layers import (
    TF_BN,
    TORCH_BN,
    BatchNorm,
    Compute,
    Conv,
    Dropout,
    DropPath,
    SqueezeExcite,
)


def test_batch_norm_by_hand():
    x = jnp.array([[1.0], [3.0]])  # mean 2, variance 1
    norm = BatchNorm(TF_BN)
    variables = norm.init(jax.random.key(0), x, train=False)
    y, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y[:, 0], np.array([-1, 1]) / np.sqrt(1 + 1e-3), rtol=1e-6)
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.02, rtol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.99 + 0.01 * 1, rtol=1e-6)


def test_torch_statistics_are_unbiased():
    x = jnp.array([[1.0], [3.0]])
    norm = BatchNorm(TORCH_BN)
    variables = norm.init(jax.random.key(0), x, train=False)
    _, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.9 + 0.1 * 2, rtol=1e-6)  # n / (n - 1)


def test_batch_norm_equals_linen_forward_and_backward():
    x = 2 + jax.random.normal(jax.random.key(0), (4, 3, 5, 6))
    ours, theirs = BatchNorm(TF_BN), nn.BatchNorm(momentum=0.99, epsilon=1e-3)
    variables = ours.init(jax.random.key(0), x, train=False)

    def loss(norm, x, **mode):
        y, new = norm.apply(variables, x, **mode, mutable=["batch_stats"])
        return jnp.sum(y**3), new["batch_stats"]

    ours_grad, stats = jax.grad(lambda x: loss(ours, x, train=True), has_aux=True)(x)
    grad, expected = jax.grad(lambda x: loss(theirs, x, use_running_average=False), has_aux=True)(x)
    np.testing.assert_allclose(ours_grad, grad, atol=1e-5 * np.abs(grad).max())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stats, dict(expected))


@pytest.mark.parametrize("train", [True, False], ids=["train", "frozen statistics"])
def test_activation_is_that_of_the_normalised_map_and_is_not_kept_for_the_gradient(train):
    x = 2 + jax.random.normal(jax.random.key(0), (4, 3, 5, 6))
    fused, plain = BatchNorm(TF_BN, jax.nn.silu), BatchNorm(TF_BN)
    variables = plain.init(jax.random.key(0), x, train=False)

    def run(norm, x):
        return norm.apply(variables, x, train=train, mutable=["batch_stats"])[0]

    expected, expected_pull = jax.vjp(lambda x: jax.nn.silu(run(plain, x)), x)
    actual, pull = jax.vjp(lambda x: run(fused, x), x)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    noise = jax.random.normal(jax.random.key(1), x.shape)
    (grad,), (expected_grad,) = pull(noise), expected_pull(noise)
    np.testing.assert_allclose(grad, expected_grad, atol=1e-5 * np.abs(expected_grad).max())
    kept = [leaf for leaf in jax.tree.leaves(pull) if leaf.shape == x.shape]
    assert kept and all((leaf == x).all() for leaf in kept)


def test_masked_samples_do_not_count_in_the_statistics():
    x = jax.random.normal(jax.random.key(0), (3, 2, 2, 4))
    norm = BatchNorm(TF_BN)
    variables = norm.init(jax.random.key(0), x, train=False)
    mask = jnp.array([True, True, False])
    y, new = norm.apply(variables, x, mask, train=True, mutable=["batch_stats"])
    expected, new_two = norm.apply(variables, x[:2], train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y[:2], expected, atol=1e-6)
    np.testing.assert_allclose(new["batch_stats"]["var"], new_two["batch_stats"]["var"], rtol=1e-6)
    y, _ = norm.apply(variables, x, jnp.zeros(3, bool), train=True, mutable=["batch_stats"])
    assert np.isfinite(y).all()


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    x = jnp.ones((4000, 1, 1, 2))
    y = DropPath(0.25).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    values = np.unique(np.asarray(y))
    np.testing.assert_allclose(values, [0, 1 / 0.75], rtol=1e-6)
    assert (np.asarray(y[..., 0]) == np.asarray(y[..., 1])).all()
    assert abs(float(y.mean()) - 1) < 0.05  # four standard deviations are 0.036
    assert DropPath(0.25).apply({}, x, train=False) is x


def test_squeeze_excite_multiplies_by_a_gate_of_the_mean():
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 4))
    layer = SqueezeExcite(2)
    variables = layer.init(jax.random.key(1), x)
    gates = np.asarray(layer.apply(variables, x) / x)
    np.testing.assert_allclose(gates, np.broadcast_to(gates[:, :1, :1], gates.shape), rtol=1e-4)
    assert (gates > 0).all() and (gates < 1).all()


def test_one_draw_gives_every_parameter_its_own_numbers_and_variance():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Conv(64, 3, name="b")(Conv(64, 3, name="a")(x))

    x = jnp.zeros((1, 8, 8, 64))
    params = one_draw(Two().init, jax.random.key(0), x)["params"]
    a, b = params["a"]["kernel"], params["b"]["kernel"]
    assert np.abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02
    np.testing.assert_allclose(np.var(a), 2 / (9 * 64), rtol=0.03)
    again = jax.jit(lambda k: one_draw(Two().init, k, x))(jax.random.key(0))["params"]
    # near zero the normal draw is a difference of numbers near 1: an error of 1e-7 of a deviation
    np.testing.assert_allclose(again["b"]["kernel"], b, rtol=1e-5, atol=1e-8)
    alone = HE_OUT(jax.random.key(0), (3, 3, 64, 64))  # and without a shared draw
    np.testing.assert_allclose(np.var(alone), 2 / (9 * 64), rtol=0.03)
    np.testing.assert_allclose(np.var(HE_IN(jax.random.key(0), (5, 5, 1, 4096))), 2 / 25, rtol=0.03)


def test_bfloat16_activations_leave_float32_parameters():
    x = jnp.ones((1, 4, 4, 3))
    layer = Conv(8, 3, compute=Compute(dtype=jnp.bfloat16))
    variables = layer.init(jax.random.key(0), x)
    assert variables["params"]["kernel"].dtype == jnp.float32
    assert layer.apply(variables, x).dtype == jnp.bfloat16


def test_dropout_keeps_the_mean_and_is_off_outside_training():
    x = jnp.ones((1000, 8))
    y = Dropout(0.25).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    np.testing.assert_allclose(y.mean(), 1, atol=0.03)  # 5 standard deviations
    assert Dropout(0.25).apply({}, x, train=False) is x
    assert Dropout(0.0).apply({}, x, train=True) is x


def test_monte_carlo_dropout_is_what_training_draws_and_leaves_drop_path_out():
    x, rngs = jnp.ones((50, 8)), {"dropout": jax.random.key(0)}
    trained, drawn = (Dropout(0.5).apply({}, x, train=train, rngs=rngs) for train in (True, False))
    np.testing.assert_array_equal(drawn, trained)
    assert DropPath(0.5).apply({}, x, train=False, rngs=rngs) is x
