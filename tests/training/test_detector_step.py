"""Tests a training step: metrics by hand, parts of a batch, and clips of weight 0."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dfjax.losses.objective import make_objective
from dfjax.losses.registry import make_loss
from dfjax.training.detector_step import make_gradient_fn, make_train_step
from dfjax.training.optimizers import make_tx
from dfjax.training.state import make_init_state

pytestmark = pytest.mark.usefixtures("compiled_quickly")

ROOT_RNG = jax.random.key(0)
TX = make_tx("sgd", optax.constant_schedule(0.1), momentum=0.0, clip_norm=1.0)
BCE = make_objective("bce", make_loss("bce"))


def preprocess(batch, rng, *, train):
    return {"x": batch["x"]}


def init(rng, inputs):
    kernel = jax.random.normal(rng, (inputs["x"].shape[-1],))
    return {"params": {"kernel": kernel}, "batch_stats": {"mean": jnp.zeros(())}}


def apply(variables, inputs, *, train, rngs):
    """A linear model with a running mean of its logits, as BatchNorm has one."""
    logits = inputs["x"] @ variables["params"]["kernel"]
    mean = 0.9 * variables["batch_stats"]["mean"] + 0.1 * logits.mean()
    return logits, {"features": inputs["x"]}, {"mean": mean}


INIT = make_init_state(init, preprocess, TX, ema=True)


def make_batch(number, weight=(1.0,) * 8):
    rng = np.random.default_rng(number)
    return {
        "x": rng.normal(size=(8, 2)).astype(np.float32),
        "label": rng.integers(0, 2, 8).astype(np.float32),
        "weight": np.array(weight, np.float32),
        "video_index": np.arange(8, dtype=np.int32),
    }


@pytest.fixture(scope="module")
def state():
    return jax.jit(INIT)(ROOT_RNG, make_batch(0))


def make_step(apply=apply, preprocess=preprocess, objective=BCE, **options):
    return jax.jit(make_train_step(make_gradient_fn(apply, preprocess, objective), TX, **options))


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_metrics_by_hand(state):
    weight = np.array([1, 1, 0, 0, 0, 0, 0, 2], np.float32)
    batch = make_batch(3, weight)
    after, metrics = make_step(clip_norm=1.0)(state, batch, ROOT_RNG)
    kernel = np.asarray(state.params["kernel"], np.float64)
    x, label = batch["x"].astype(np.float64), batch["label"]
    logits = x @ kernel
    values = np.logaddexp(0.0, logits) - logits * label
    gradient = ((1 / (1 + np.exp(-logits)) - label) * weight) @ x / 4
    norm = np.linalg.norm(gradient)
    update = -0.1 * gradient / max(norm, 1.0)
    expected = {
        "loss": values @ weight / 4,
        "loss_bce": values @ weight / 4,
        "accuracy": ((logits > 0) == (label > 0.5)) @ weight / 4,
        "grad_norm": norm,
        "param_norm": np.linalg.norm(kernel),
        "update_norm": np.linalg.norm(update),
        "clipped": float(norm > 1.0),
        "skipped": 0.0,
    }
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(after.params["kernel"], kernel + update, rtol=1e-5)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_sharpness_aware_step_is_that_of_two_gradients(state, parts):
    """By hand, and as `optax.contrib.sam`; weights, statistics and loss are of the first pass."""
    batch, rate, radius = make_batch(3, np.linspace(0.0, 2.0, 8)), 0.1, 0.5
    x, label, weight = (batch[key].astype(np.float64) for key in ("x", "label", "weight"))

    def gradient(kernel):
        return ((1 / (1 + np.exp(-x @ kernel)) - label) * weight) @ x / weight.sum()

    kernel = np.asarray(state.params["kernel"], np.float64)
    first = gradient(kernel)
    second = gradient(kernel + radius * first / np.linalg.norm(first))
    assert np.linalg.norm(second) < 1  # which the optimiser does not clip
    after, metrics = make_step(parts=parts, sam_radius=radius)(state, batch, ROOT_RNG)
    np.testing.assert_allclose(after.params["kernel"], kernel - rate * second, rtol=1e-5)
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(second), rtol=1e-5)

    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(radius))
    sam = optax.contrib.sam(optax.sgd(rate), ascent, sync_period=2, opaque_mode=True)
    params = jnp.asarray(kernel, jnp.float32)
    found = jnp.asarray(first, jnp.float32)
    updates, _ = sam.update(
        found, sam.init(params), params, grad_fn=lambda p, i: jnp.asarray(gradient(np.asarray(p)))
    )
    np.testing.assert_allclose(after.params["kernel"], params + updates, rtol=1e-5)

    once, wanted = make_step(parts=parts)(state, batch, ROOT_RNG)
    assert_same(after.batch_stats, once.batch_stats)
    for name in ("loss", "accuracy", "param_norm"):
        np.testing.assert_array_equal(metrics[name], wanted[name])


def test_every_term_is_logged_and_the_terms_add_up_to_the_loss(state):
    def objective(logits, outputs, batch):
        return BCE(logits, outputs, batch) | {"temporal": jnp.square(logits)}

    weight = np.linspace(0.0, 2.0, 8)
    for parts in (1, 2):
        step = make_step(objective=objective, parts=parts)
        _, metrics = step(state, make_batch(1, weight), ROOT_RNG)
        terms = float(metrics["loss_bce"]) + float(metrics["loss_temporal"])
        assert float(metrics["loss_temporal"]) > 0.0
        assert float(metrics["loss"]) == pytest.approx(terms, rel=1e-5)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["input", "logits", "loss"])
def test_a_clip_of_weight_0_that_is_not_finite_changes_nothing(state, where, bad, parts):
    """Neither loss nor gradient nor statistics; the clip is as if its values were 0."""
    padding = np.array([0, 0, 0, 1, 0, 0, 0, 0], bool)
    batch = make_batch(1, ~padding)
    spoilt = dict(batch)
    if where == "input":
        spoilt["x"] = np.where(padding[:, None], bad, batch["x"])
    batch["x"] = np.where(padding[:, None], 0.0, batch["x"]).astype(np.float32)

    def diverging(variables, inputs, *, train, rngs):
        logits, outputs, batch_stats = apply(variables, inputs, train=train, rngs=rngs)
        zero = (inputs["x"] == 0.0).all(axis=1)  # the blanked clip
        return jnp.where(zero, logits + bad, logits), outputs, batch_stats

    def objective(logits, outputs, batch):
        values = BCE(logits, outputs, batch)["bce"]
        return {"bce": jnp.where(batch["weight"] > 0, values, logits + bad)}

    step = make_step(
        apply=diverging if where == "logits" else apply,
        objective=objective if where == "loss" else BCE,
        parts=parts,
    )
    expected, wanted = make_step(parts=parts)(state, batch, ROOT_RNG)
    after, metrics = step(state, spoilt, ROOT_RNG)
    assert float(metrics["skipped"]) == 0.0
    np.testing.assert_allclose(metrics["loss"], wanted["loss"], rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after, expected
    )


def test_a_step_that_is_not_finite_leaves_the_state_as_it_was(state):
    batch = make_batch(1)
    step = make_step(ema_decay=0.9)
    for spoilt in ({"x": batch["x"] * np.inf}, {"weight": np.zeros(8, np.float32)}):
        after, metrics = step(state, batch | spoilt, ROOT_RNG)
        assert float(metrics["skipped"]) == 1.0
        assert_same(after.replace(step=state.step, skipped=state.skipped), state)
        assert (int(after.step), int(after.skipped)) == (1, 1)


def test_what_preprocess_decides_anew_reaches_the_loss_and_counts_as_right(state):
    """Mixed clips: the loss, and the accuracy, go by the mixed target."""
    target = np.linspace(0.0, 1.0, 8, dtype=np.float32)

    def mixing(batch, rng, *, train):
        return {"x": batch["x"], "target": jnp.asarray(target)}

    def distance(logits, outputs, batch):
        return {"distance": jnp.abs(logits - batch["target"])}

    weight = np.array([1, 1, 0, 0, 0, 0, 0, 2], np.float32)
    batch = make_batch(2, weight)
    _, metrics = make_step(preprocess=mixing, objective=distance)(state, batch, ROOT_RNG)
    logits = batch["x"] @ np.asarray(state.params["kernel"])
    np.testing.assert_allclose(metrics["loss"], np.abs(logits - target) @ weight / 4, rtol=1e-5)
    right = (logits > 0) == (target > 0.5)
    np.testing.assert_allclose(metrics["accuracy"], right @ weight / 4, rtol=1e-6)


@pytest.mark.parametrize(("parts", "together"), [(2, 1), (4, 1), (2, 2)])
def test_a_batch_in_parts_gives_the_same_parameters(state, parts, together):
    batch = make_batch(5, np.linspace(0.0, 2.0, 8))
    whole, metrics = make_step()(state, batch, ROOT_RNG)
    split, others = make_step(parts=parts, together=together)(state, batch, ROOT_RNG)
    np.testing.assert_allclose(split.params["kernel"], whole.params["kernel"], atol=1e-6)
    for name, value in metrics.items():
        np.testing.assert_allclose(others[name], value, rtol=1e-5, err_msg=name)


def test_frozen_parameters_stay_and_do_not_count_in_the_gradient(state):
    gradients = make_gradient_fn(apply, preprocess, BCE, freeze=("kernel",))
    after, metrics = jax.jit(make_train_step(gradients, TX))(state, make_batch(1), ROOT_RNG)
    assert float(metrics["grad_norm"]) == 0.0
    assert_same(after.params, state.params)


def test_the_average_follows_the_parameters_with_a_growing_decay(state):
    step = make_step(ema_decay=0.9)
    first, _ = step(state, make_batch(0), ROOT_RNG)
    expected = 0.1 * state.params["kernel"] + 0.9 * first.params["kernel"]
    np.testing.assert_allclose(first.ema["kernel"], expected, rtol=1e-6)
    late, _ = step(first.replace(step=jnp.int32(10_000)), make_batch(1), ROOT_RNG)
    expected = 0.9 * first.ema["kernel"] + 0.1 * late.params["kernel"]
    np.testing.assert_allclose(late.ema["kernel"], expected, rtol=1e-6)
    assert late.variables["params"] is late.ema
