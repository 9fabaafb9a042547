"""One step of a generator and its discriminator: two updates that leave each other alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dfjax.losses.adversarial import find_adversarial
from dfjax.losses.generator import GeneratorObjective, make_adversarial_term, restoration
from dfjax.training.gan_step import GanStep, Networks
from dfjax.training.state import make_init_state

FACTORS = {"restoration": 10.0, "adversarial": 1.0}
RATE, ADVERSARY_RATE = 0.1, 0.3


def generate(variables, inputs, *, train, rngs):
    """A generator of one colour matrix; its statistic counts the passes in training."""
    params, stats = variables["params"], variables["batch_stats"]
    restored = jnp.tanh(inputs["rgb"] @ params["kernel"] + params["bias"])
    return restored, {}, {"passes": stats["passes"] + train}


def discriminate(variables, inputs, *, train, rngs):
    """A discriminator whose patches are single pixels; its statistic counts likewise."""
    params, stats = variables["params"], variables["batch_stats"]
    patches = jnp.sin(inputs["rgb"] @ params["kernel"])[..., 0] + params["bias"]
    logits = patches.mean((1, 2, 3))
    return logits, {"patch_logits": patches}, {"passes": stats["passes"] + train}


def preprocess(batch, rng, *, train):
    pixels = {name: batch[name].astype(jnp.float32) / 127.5 - 1 for name in ("clip", "source")}
    return {"target": pixels["clip"], "source": pixels["source"], "mask": batch["mask"]}


def init(rng, inputs):
    kernel = jax.random.normal(rng, (3, 3))
    return {"params": {"kernel": kernel, "bias": jnp.zeros(3)}, "batch_stats": {"passes": 0.0}}


def init_adversary(rng, inputs):
    params = {"kernel": jax.random.normal(rng, (3, 1)), "bias": jnp.float32(0.1)}
    opt_state = optax.sgd(ADVERSARY_RATE).init(params)
    return {"params": params, "batch_stats": {"passes": 0.0}, "opt_state": opt_state}


def make_batch(clips=4, seed=0):
    rng = np.random.default_rng(seed)
    clip, source = rng.integers(0, 256, (2, clips, 2, 4, 4, 3), np.uint8)
    mask = np.ones((clips, 2), bool)
    mask[0, 1] = False
    weight = np.ones(clips, np.float32)
    return {"clip": clip, "source": source, "mask": mask, "weight": weight}


def make_step(kind="hinge", **options):
    adversarial = find_adversarial(kind)
    terms = {"restoration": restoration, "adversarial": make_adversarial_term(adversarial)}
    networks = Networks(
        generate,
        discriminate,
        preprocess,
        GeneratorObjective(terms, FACTORS),
        adversarial,
        r1=options.pop("r1", 0.0),
    )
    return GanStep(networks, optax.sgd(RATE), optax.sgd(ADVERSARY_RATE), **options)


def make_state(ema=False):
    init_state = make_init_state(
        init, preprocess, optax.sgd(RATE), ema=ema, adversary=init_adversary
    )
    return init_state(jax.random.key(0), make_batch(1))


KEY = jax.random.key(1)
BATCH = make_batch()


def run(step, state, batch=BATCH):
    return jax.jit(step)(state, batch, KEY, {})


def frame_means(values, mask):
    frames = values.reshape(*mask.shape, -1).mean(-1)
    return (frames * mask).sum(1) / mask.sum(1)


def updates_by_hand(state, batch, kind):
    """Returns the parameters after both updates, each by the gradient of its own loss."""
    adversarial, inputs = find_adversarial(kind), preprocess(batch, None, train=True)
    mask = inputs["mask"]

    def restore(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        return generate(variables, {"rgb": inputs["source"]}, train=True, rngs={})[0]

    def patches(params, clips):
        variables = {"params": params, "batch_stats": state.batch_stats}
        return discriminate(variables, {"rgb": clips}, train=True, rngs={})[1]["patch_logits"]

    def of_discriminator(params):
        real = adversarial.real(patches(params, inputs["target"]))
        restored = adversarial.restored(patches(params, restore(state.params)))
        return frame_means(real + restored, mask).mean()

    before = state.adversary["params"]
    gradient = jax.grad(of_discriminator)(before)
    judge = jax.tree.map(lambda p, g: p - ADVERSARY_RATE * g, before, gradient)

    def of_generator(params):
        restored = restore(params)
        l1 = frame_means(jnp.abs(restored - inputs["target"]), mask).mean()
        fooled = frame_means(adversarial.generator(patches(judge, restored)), mask).mean()
        return 10 * l1 + fooled

    loss, gradient = jax.value_and_grad(of_generator)(state.params)
    return judge, jax.tree.map(lambda p, g: p - RATE * g, state.params, gradient), loss


def assert_close(got, expected, tolerance=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance), got, expected)


@pytest.mark.parametrize("kind", ["hinge", "lsgan", "bce"])
def test_a_step_is_the_update_of_the_discriminator_and_then_of_the_generator(kind):
    state = make_state()
    judge, generator, loss = updates_by_hand(state, BATCH, kind)
    new, metrics = run(make_step(kind), state)
    assert_close(new.adversary["params"], judge)
    assert_close(new.params, generator)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)


def test_statistics_of_each_network_advance_once_and_in_its_own_pass():
    new, _ = run(make_step(r1=1.0), make_state())
    assert new.batch_stats == {"passes": 1.0}
    assert new.adversary["batch_stats"] == {"passes": 1.0}


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_an_update_of_one_network_leaves_the_other_as_it_is(still):
    """With a rate of 0 for one network, all that changes is the other."""
    state, step = make_state(), make_step(kind="bce")
    frozen = optax.sgd(0.0)
    place = "tx" if still == "generator" else "adversary_tx"
    new, _ = run(dataclasses.replace(step, **{place: frozen}), state)
    both, _ = run(step, state)
    unchanged = (new.params, state.params)
    changed = (new.adversary["params"], both.adversary["params"])
    if still == "discriminator":
        unchanged, changed = (new.adversary["params"], state.adversary["params"]), None
    jax.tree.map(np.testing.assert_array_equal, *unchanged)
    if changed:  # the discriminator's update does not depend on the generator's
        jax.tree.map(np.testing.assert_array_equal, *changed)


def test_each_term_is_logged_raw_and_multiplied_and_the_loss_is_their_sum():
    _, metrics = run(make_step(), make_state())
    for name, factor in FACTORS.items():
        np.testing.assert_allclose(metrics[f"loss_{name}"], factor * metrics[f"raw_{name}"])
    total = sum(metrics[f"loss_{name}"] for name in FACTORS)
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-6)


def count_passes(monkeypatch, step):
    calls = []

    def counted(*args, **how):
        calls.append(1)
        return generate(*args, **how)

    step = dataclasses.replace(step, networks=step.networks._replace(generate=counted))
    jax.make_jaxpr(step)(make_state(), BATCH, KEY, {})
    return len(calls)


def test_the_generator_runs_once(monkeypatch):
    assert count_passes(monkeypatch, make_step()) == 1


@pytest.mark.parametrize("r1", [0.0, 2.0])
def test_parts_of_a_batch_give_the_step_of_the_whole(r1):
    whole, metrics = run(make_step(r1=r1), make_state(ema=True))
    parts, of_parts = run(make_step(r1=r1, parts=2), make_state(ema=True))
    for name in ("params", "ema", "opt_state"):
        assert_close(getattr(parts, name), getattr(whole, name), 1e-6)
    assert_close(parts.adversary["params"], whole.adversary["params"], 1e-6)
    assert set(of_parts) == set(metrics)
    for name, value in metrics.items():
        np.testing.assert_allclose(of_parts[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_clip_of_weight_0_counts_nowhere():
    padded = {name: np.concatenate([BATCH[name], BATCH[name][:1]]) for name in BATCH}
    padded["weight"][-1] = 0
    found, metrics = run(make_step(r1=1.0), make_state(), padded)
    expected, without = run(make_step(r1=1.0), make_state())
    assert_close(
        (found.params, found.adversary["params"]), (expected.params, expected.adversary["params"])
    )
    np.testing.assert_allclose(metrics["raw_r1"], without["raw_r1"], rtol=1e-5)


def test_a_step_that_is_not_finite_changes_neither_network():
    state = make_state(ema=True)
    broken = state.replace(
        adversary=state.adversary
        | {"params": {"kernel": jnp.full((3, 1), jnp.nan), "bias": jnp.float32(0)}}
    )
    new, metrics = run(make_step(), broken)
    assert metrics["skipped"] == 1 and new.skipped == 1 and new.step == 1
    for name in ("params", "batch_stats", "ema", "adversary"):
        jax.tree.map(np.testing.assert_array_equal, getattr(new, name), getattr(broken, name))


def test_the_penalty_of_real_clips_enters_the_discriminator_only():
    state = make_state()
    plain, _ = run(dataclasses.replace(make_step(), adversary_tx=optax.sgd(0.0)), state)
    step = dataclasses.replace(make_step(r1=5.0), adversary_tx=optax.sgd(0.0))
    new, metrics = run(step, state)
    assert metrics["raw_r1"] > 0
    jax.tree.map(np.testing.assert_array_equal, new.params, plain.params)
    moved, _ = run(make_step(r1=5.0), state)
    other, _ = run(make_step(), state)
    assert (
        np.abs(moved.adversary["params"]["kernel"] - other.adversary["params"]["kernel"]).max()
        > 1e-3
    )


def test_a_checkpoint_holds_both_networks_and_reads_as_the_generator():
    state, _ = run(make_step(ema_decay=0.9), make_state(ema=True))
    items = state.to_items()
    jax.tree.map(np.testing.assert_array_equal, items["variables"]["params"], state.ema)
    restored = type(state).from_items(items)
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
