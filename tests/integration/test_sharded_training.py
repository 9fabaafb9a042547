"""Tests that a small dual-stream detector has equal gradients on every mesh of eight devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from dfjax.config import load_config
from dfjax.experiment import builders
from dfjax.losses.objective import make_objective
from dfjax.losses.registry import make_loss
from dfjax.models import build
from dfjax.models.registry import find_sharding_rules
from dfjax.ops.lowering import NATIVE
from dfjax.training import sharding
from dfjax.training.detector_step import make_gradient_fn
from dfjax.training.optimizers import make_tx
from dfjax.training.state import make_init_state

MESHES = [(8, 1, 1), (2, 2, 2)]


@pytest.fixture(scope="module")
def config():
    return load_config(
        "dual_stream:smoke",
        [
            "data.frames=2",
            "preprocess.size=32",
            "model.dual_stream.lq_size=16",
            "model.dual_stream.conv_lstm=(32,32)",
        ],
    )


def make_batch(config):
    rng = np.random.default_rng(0)
    shapes = builders.example_batch(config, 8, 32)
    batch = {k: np.zeros(s.shape, s.dtype) for k, s in shapes.items()}
    batch["clip"] = rng.integers(0, 255, batch["clip"].shape).astype(np.uint8)
    batch["label"] = np.array([0, 1] * 4, np.int8)
    return batch | {
        "mask": np.ones_like(batch["mask"]),
        "weight": np.ones_like(batch["weight"]),
    }


def plan(config, shape, dtype):
    """Shapes, shardings and parts of a run on a mesh of that shape."""
    options = config.model.dual_stream.to_dict()
    model = build("dual_stream", lowering=NATIVE, dtype=dtype, **options)
    preprocess = builders.make_config_preprocess(config)
    mesh = sharding.make_mesh(*shape, devices=jax.devices()[: int(np.prod(shape))])
    init = make_init_state(model.init, preprocess, make_tx("adam", optax.constant_schedule(1e-3)))
    shapes = jax.eval_shape(init, jax.random.key(0), make_batch(config))
    rules = find_sharding_rules("dual_stream") if shape[1] * shape[2] > 1 else ()
    shardings = sharding.state_shardings(shapes, mesh, rules)
    return shapes, shardings, (model, preprocess, mesh, init)


def gradients_on(config, shape, dtype):
    """Loss, gradients and BatchNorm statistics of one batch, computed on a mesh."""
    _, shardings, (model, preprocess, mesh, init) = plan(config, shape, dtype)
    batch = make_batch(config)
    state = jax.jit(init)(jax.random.key(0), batch)
    state = jax.tree.map(lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, state)
    state = jax.device_put(state, shardings)
    compute_gradients = make_gradient_fn(
        model.apply, preprocess, make_objective("bce", make_loss("bce"))
    )

    def step(state, batch, root_rng):
        params = sharding.gather(state.params, shardings.params)
        total = batch["weight"].sum()
        result = compute_gradients(params, state.batch_stats, batch, root_rng, 0, total)
        return result._replace(grads=sharding.split_like(result.grads, shardings.params))

    batch = sharding.put_batch(batch, mesh)
    return jax.device_get(jax.jit(step)(state, batch, jax.random.key(0)))


def assert_close(a, b, tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance), a, b)


@pytest.fixture(scope="module")
def one_device_x64(config):
    with jax.enable_x64(True):
        return gradients_on(config, (1, 1, 1), jnp.float64)


@pytest.mark.slow
@pytest.mark.parametrize("shape", MESHES)
def test_loss_statistics_and_gradients_equal_one_device_in_x64(config, one_device_x64, shape):
    with jax.enable_x64(True):
        sharded = gradients_on(config, shape, jnp.float64)
    for ours, theirs in zip(sharded, one_device_x64):
        assert_close(ours, theirs, 1e-5)


def test_large_kernels_and_their_moments_are_split(config):
    shapes, shardings, _ = plan(config, (2, 2, 2), jnp.float32)
    kernel = shardings.params["conv_lstm1"]["kernel"]
    assert kernel.spec == P(None, None, "fsdp", "tensor")
    assert shardings.opt_state["rule"].mu["conv_lstm1"]["kernel"] == kernel
    split = [s for s in jax.tree.leaves(shardings.params) if s.spec != P()]
    assert len(split) > 20
