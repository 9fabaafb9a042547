import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.training.optimizers import make_tx
from dfjax.training.schedules import make_schedule

ADAM = {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "clip_norm": 0.0}


def schedule(name, **options):
    defaults = {"learning_rate": 0.1, "warmup_steps": 0, "total_steps": 100, "final_scale": 0.0}
    return make_schedule(name, **defaults | options)


def test_constant_stays():
    assert float(schedule("constant")(0)) == float(schedule("constant")(99)) == pytest.approx(0.1)


def test_cosine_halves_in_the_middle_and_ends_at_the_final_scale():
    rate = schedule("cosine", final_scale=0.2)
    np.testing.assert_allclose([rate(0), rate(50), rate(100)], [0.1, 0.06, 0.02], rtol=1e-6)


def test_warmup_is_linear_and_the_cosine_follows_it():
    rate = schedule("cosine", warmup_steps=10)
    np.testing.assert_allclose([rate(0), rate(5), rate(10)], [0.0, 0.05, 0.1], rtol=1e-6)
    np.testing.assert_allclose(rate(55), 0.05, rtol=1e-6)
    np.testing.assert_allclose(rate(100), 0.0, atol=1e-9)


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UsageError, match="constant, cosine"):
        schedule("cosin")
    with pytest.raises(UsageError, match="adam"):
        make_tx("adamm", schedule("constant"), **ADAM)


def test_first_adam_step_moves_each_parameter_by_the_learning_rate():
    tx = make_tx("adam", schedule("constant"), **ADAM)
    params = {"a": jnp.array([1.0, -2.0])}
    updates, _ = tx.update({"a": jnp.array([3.0, -0.5])}, tx.init(params), params)
    np.testing.assert_allclose(updates["a"], [-0.1, 0.1], rtol=1e-5)


def test_clipping_scales_by_the_global_norm():
    tx = make_tx("adam", schedule("constant"), **ADAM | {"clip_norm": 1.0})
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    _, state = tx.update({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, tx.init(params), params)
    np.testing.assert_allclose(state["adam"].mu["a"], 0.1 * 3 / 5, rtol=1e-6)
    np.testing.assert_allclose(state["adam"].mu["b"], 0.1 * 4 / 5, rtol=1e-6)
