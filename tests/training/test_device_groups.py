"""A small network with batch normalisation on eight devices, whose groups have own statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.bench.hlo_figures import measure_traffic
from dfjax.bench.hlo_text import parse_module
from dfjax.errors import UsageError
from dfjax.losses.objective import make_objective
from dfjax.losses.registry import make_loss
from dfjax.models.layers import TF_BN, BatchNorm
from dfjax.training import sharding
from dfjax.training.detector_step import make_gradient_fn
from dfjax.training.device_groups import check_groups, read_group, split_over_groups

pytestmark = pytest.mark.usefixtures("compiled_quickly")

DEVICES, CLIPS, LAYERS = 8, 16, 3
RNG = np.random.default_rng(0)
BATCH = {
    "clip": RNG.normal(size=(CLIPS, 6)).astype(np.float32) + np.arange(CLIPS)[:, None] / 4,
    "mask": RNG.random(CLIPS) < 0.8,
    "label": np.tile(np.array([0, 1], np.int8), CLIPS // 2),
    "weight": np.where(np.arange(CLIPS) == 5, 0, 1).astype(np.float32),
}
PARAMS = {
    f"layer{n}": {
        "kernel": jnp.asarray(RNG.normal(size=(6, 6)), jnp.float32),
        "scale": jnp.ones(6) + n,
        "bias": jnp.ones(6) / 3,
    }
    for n in range(LAYERS)
}
STATS = {f"layer{n}": {"mean": jnp.zeros(6), "var": jnp.ones(6)} for n in range(LAYERS)}


def apply(variables, inputs, *, train, rngs):
    x, new = inputs["clip"], {}
    for name, layer in variables["params"].items():
        bn = {"params": {"scale": layer["scale"], "bias": layer["bias"]}}
        bn["batch_stats"] = variables["batch_stats"][name]
        x, changed = BatchNorm(TF_BN, jax.nn.silu).apply(
            bn, x @ layer["kernel"], inputs["mask"], train=True, mutable=["batch_stats"]
        )
        new[name] = changed["batch_stats"]
    return x.sum(axis=1) * inputs["mask"], {}, new


compute_gradients = make_gradient_fn(
    apply, lambda batch, rng, *, train: batch, make_objective("bce", make_loss("bce"))
)
MESH = functools.cache(lambda: sharding.make_mesh(4, 2, 1))


def run(compute, batch=BATCH, mesh=None):
    batch = sharding.put_batch(batch, mesh or MESH())
    step = jax.jit(compute)
    arguments = (PARAMS, STATS, batch, jax.random.key(0), 0, jnp.float32(BATCH["weight"].sum()))
    return step, arguments


def evaluate(compute, batch=BATCH, mesh=None):
    step, arguments = run(compute, batch, mesh)
    return jax.device_get(step(*arguments))


def assert_equal(a, b, tolerance=2e-6):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_a_group_of_all_devices_is_the_whole_batch():
    assert_equal(evaluate(split_over_groups(compute_gradients, MESH(), group=DEVICES)),
                 evaluate(compute_gradients), 1e-5)  # fmt: skip


@pytest.mark.parametrize("group", [1, 2, 4])
def test_a_group_has_the_statistics_of_its_own_clips(group):
    found = evaluate(split_over_groups(compute_gradients, MESH(), group=group))
    one = sharding.make_mesh(1, 1, 1, devices=jax.devices()[:1])
    size = CLIPS // DEVICES * group
    alone = [
        evaluate(compute_gradients, {k: v[n : n + size] for k, v in BATCH.items()}, one)
        for n in range(0, CLIPS, size)
    ]
    assert_equal(found.loss, sum(part.loss for part in alone))
    assert_equal(found.grads, jax.tree.map(lambda *g: sum(g), *[p.grads for p in alone]), 1e-4)
    means = jax.tree.map(lambda *s: np.mean(s, axis=0), *[p.batch_stats for p in alone])
    assert_equal(found.batch_stats, means)
    clips = jax.tree.map(lambda *c: np.concatenate(c), *[p.clips for p in alone])
    assert_equal(found.clips, clips, 1e-5)


def count_sums(compute):
    step, arguments = run(compute)
    module = parse_module(step.lower(*arguments).compile().as_text())
    found = measure_traffic(module, DEVICES).collectives
    return sum(one.count for one in found if one.kind == "all-reduce")


def test_local_statistics_leave_only_the_sums_of_the_gradients():
    everywhere = count_sums(compute_gradients)
    local = count_sums(split_over_groups(compute_gradients, MESH(), group=1))
    assert everywhere >= 2 * LAYERS + 1  # a sum forwards and one backwards, and the gradients
    assert local == 1


def test_gradients_are_summed_in_the_dtype_that_is_asked_for():
    exact = evaluate(split_over_groups(compute_gradients, MESH(), group=DEVICES))
    rounding = split_over_groups(compute_gradients, MESH(), group=DEVICES, dtype="bfloat16")
    rounded = evaluate(rounding)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(rounded.grads))
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(exact.grads))
    assert_equal(
        jax.tree.map(lambda g: g / scale, rounded.grads),
        jax.tree.map(lambda g: g / scale, exact.grads),
        2**-6,
    )
    step, arguments = run(rounding)
    text = step.lower(*arguments).as_text()
    assert (
        "bf16" in text
        and "bf16"
        not in run(split_over_groups(compute_gradients, MESH(), group=DEVICES, dtype="float32"))[0]
        .lower(*arguments)
        .as_text()
    )


def test_devices_draw_different_random_numbers():
    def draw(params, stats, batch, rng, step, total):
        result = compute_gradients(params, stats, batch, rng, step, total)
        noise = jax.random.uniform(rng, batch["weight"].shape)
        return result._replace(clips=noise)

    noise = evaluate(split_over_groups(draw, MESH(), group=1)).clips
    assert len(np.unique(noise)) == CLIPS


def test_groups_are_read_and_checked():
    assert [read_group(text, MESH()) for text in ("global", "local", "4")] == [8, 1, 4]
    with pytest.raises(UsageError, match="groups of 3"):
        check_groups(3, MESH(), clips=2, pairs=False)
    with pytest.raises(UsageError, match="even number"):
        check_groups(1, MESH(), clips=1, pairs=True)
    check_groups(2, MESH(), clips=1, pairs=True)
