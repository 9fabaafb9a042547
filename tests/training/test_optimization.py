import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.schema import OPTIMIZER
from dfjax.training.optimizers import make_tx
from dfjax.training.schedules import make_schedule

ADAM = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}


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


def test_a_linear_decay_begins_after_the_share_that_it_holds():
    rate = schedule("linear", hold=0.75, final_scale=0.2)
    np.testing.assert_allclose([rate(0), rate(74), rate(75)], 0.1, rtol=1e-6)
    np.testing.assert_allclose([rate(80), rate(100)], [0.1 - 0.08 / 5, 0.02], rtol=1e-6)
    np.testing.assert_allclose(schedule("linear")(25), 0.075, rtol=1e-6)
    assert float(schedule("linear", hold=1.0)(99)) == pytest.approx(0.1)


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UsageError, match="constant, cosine, linear, restarts"):
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
    np.testing.assert_allclose(state["rule"].mu["a"], 0.1 * 3 / 5, rtol=1e-6)
    np.testing.assert_allclose(state["rule"].mu["b"], 0.1 * 4 / 5, rtol=1e-6)


def test_restarts_begin_again_at_the_peak():
    rate = schedule("restarts", period=20)
    np.testing.assert_allclose([rate(0), rate(10), rate(20), rate(30)], [0.1, 0.05, 0.1, 0.05])
    with pytest.raises(UsageError, match="schedule.period"):
        schedule("restarts")


PARAMS = {"base": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}, "head": {"kernel": jnp.ones(2)}}
NO_GRADIENT = {
    "base": {"kernel": jnp.zeros(2), "bias": jnp.zeros(2)},
    "head": {"kernel": jnp.zeros(2)},
}


def one_step(grads=NO_GRADIENT, name="sgd", **options):
    tx = make_tx(name, schedule("constant"), **options)
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    return updates


def test_decay_leaves_out_the_excluded_paths():
    updates = one_step(weight_decay=0.5, no_decay=["bias$"])
    np.testing.assert_allclose(updates["base"]["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_allclose(updates["base"]["bias"], 0.0)


def test_adamw_decays_apart_from_the_moments_and_adam_through_them():
    decoupled = one_step(name="adamw", weight_decay=0.5)
    np.testing.assert_allclose(decoupled["head"]["kernel"], -0.05, rtol=1e-5)
    l2 = one_step(name="adam", weight_decay=0.5)
    np.testing.assert_allclose(l2["head"]["kernel"], -0.1, rtol=1e-5)


def test_momentum_adds_up_over_steps():
    tx = make_tx("sgd", schedule("constant"), momentum=0.5)
    grads = {"a": jnp.ones(1)}
    state = tx.init(grads)
    first, state = tx.update(grads, state, grads)
    second, _ = tx.update(grads, state, grads)
    np.testing.assert_allclose([first["a"][0], second["a"][0]], [-0.1, -0.15], rtol=1e-6)


def test_frozen_parameters_stay_have_no_state_and_do_not_count_in_the_norm():
    grads = {"base": {"kernel": jnp.full(2, 1e6), "bias": jnp.zeros(2)},
             "head": {"kernel": jnp.array([3.0, 4.0])}}  # fmt: skip
    options = {"clip_norm": 1.0, "momentum": 0.9, "freeze": ["^base/"]}
    updates = one_step(grads, **options)
    np.testing.assert_allclose(updates["base"]["kernel"], 0.0)
    np.testing.assert_allclose(updates["head"]["kernel"], [-0.06, -0.08], rtol=1e-5)
    state = make_tx("sgd", schedule("constant"), **options).init(PARAMS)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 2 + 1  # head's momentum, a counter


def test_multipliers_scale_the_rate_of_the_paths_they_match():
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    updates = one_step(grads, momentum=0.0, multipliers=[("^base/", 0.1), ("kernel", 7.0)])
    np.testing.assert_allclose(updates["base"]["kernel"], -0.01, rtol=1e-6)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.7, rtol=1e-6)


@pytest.mark.parametrize("option", ["freeze", "no_decay"])
@pytest.mark.parametrize("weight_decay", [0.1, 0.0])
def test_a_pattern_that_matches_nothing_is_an_error(option, weight_decay):
    with pytest.raises(UsageError, match="'kernle' matches no parameter"):
        one_step(weight_decay=weight_decay, **{option: ["kernle"]})


def test_what_is_no_regular_expression_is_an_error():
    with pytest.raises(UsageError, match="not a regular expression"):
        one_step(freeze=["("])


def test_the_default_patterns_without_decay_may_match_nothing_and_own_ones_may_not():
    params = {"probe": {"kernel": jnp.ones((2, 1))}}  # a linear probe: no bias, no scale
    options = {"weight_decay": 0.1, "no_decay": OPTIMIZER["no_decay"]}
    tx = make_tx("adamw", lambda step: 1.0, **options)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    assert updates["probe"]["kernel"] == pytest.approx(-0.1)
    own = make_tx("adamw", lambda step: 1.0, weight_decay=0.1, no_decay=("bias$", "norm/"))
    with pytest.raises(UsageError, match="norm/"):
        own.init(params)
