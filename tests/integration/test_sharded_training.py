"""The flagship, small, on eight virtual devices: every mesh computes what one device computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dfjax.commands import assembly
from dfjax.config import load_config
from dfjax.losses.classification import make_loss
from dfjax.training import sharding
from dfjax.training.detector_step import make_gradient_fn
from dfjax.training.optimizers import make_tx
from dfjax.training.schedules import make_schedule
from dfjax.training.sharding_rules import SHARDING_RULES
from dfjax.training.state import make_init_state

MESHES = [(8, 1, 1), (2, 4, 1), (2, 2, 2)]


@pytest.fixture(scope="module")
def config():
    return load_config(
        "dual_stream:smoke",
        [
            "--config.data.frames=2",
            "--config.preprocess.size=32",
            "--config.model.dual_stream.lq_size=16",
            "--config.model.dual_stream.conv_lstm=(32,32)",
        ],
    )


def make_batch(config):
    rng = np.random.default_rng(0)
    shapes = assembly.example_batch(config, 8, 32)
    batch = {k: np.zeros(s.shape, s.dtype) for k, s in shapes.items()}
    batch["clip"] = rng.integers(0, 255, batch["clip"].shape).astype(np.uint8)
    batch["label"] = np.array([0, 1] * 4, np.int8)
    return batch | {
        "mask": np.ones_like(batch["mask"]),
        "weight": np.ones_like(batch["weight"]),
    }


def gradients_on(config, shape, dtype):
    """Loss, gradients and BatchNorm statistics of one batch, computed on a mesh."""
    model, preprocess = assembly.make_model(config), assembly.make_config_preprocess(config)
    if dtype == jnp.float64:
        from dfjax.models import build

        options = config.model.dual_stream.to_dict()
        model = build("dual_stream", lowering="native", dtype=dtype, **options)
    devices = jax.devices()[: int(np.prod(shape))]
    mesh = sharding.make_mesh(*shape, devices=devices)
    schedule = make_schedule(
        "constant", learning_rate=1e-3, warmup_steps=0, total_steps=1, final_scale=0.0
    )
    init = make_init_state(model.init, preprocess, make_tx("adam", schedule))
    batch = make_batch(config)
    shapes = jax.eval_shape(init, jax.random.key(0), batch)
    rules = SHARDING_RULES["dual_stream"] if shape[1] * shape[2] > 1 else ()
    shardings = sharding.state_shardings(shapes, mesh, rules)
    state = jax.jit(init)(jax.random.key(0), batch)
    state = jax.tree.map(lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, state)
    state = jax.device_put(state, shardings)
    gradients = make_gradient_fn(model.apply, preprocess, make_loss("bce"))
    step = jax.jit(sharding.gather_params(gradients, shardings.params, mesh))
    loss, grads, stats = step(state, sharding.put_batch(batch, mesh), jax.random.key(0))
    return jax.device_get((loss, grads, stats)), state


def assert_close(a, b, tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance), a, b)


@pytest.fixture(scope="module")
def one_device_x64(config):
    with jax.enable_x64(True):
        return gradients_on(config, (1, 1, 1), jnp.float64)[0]


@pytest.mark.slow
@pytest.mark.parametrize("shape", MESHES)
def test_loss_statistics_and_gradients_equal_one_device_in_x64(config, one_device_x64, shape):
    with jax.enable_x64(True):
        sharded, _ = gradients_on(config, shape, jnp.float64)
    for ours, theirs in zip(sharded, one_device_x64):
        assert_close(ours, theirs, 1e-5)


@pytest.mark.slow
def test_loss_and_statistics_equal_one_device_in_float32(config):
    one, _ = gradients_on(config, (1, 1, 1), jnp.float32)
    sharded, state = gradients_on(config, (2, 2, 2), jnp.float32)
    assert_close(sharded[0], one[0], 1e-5)
    assert_close(sharded[2], one[2], 1e-5)
    kernel = state.params["conv_lstm1"]["kernel"]
    assert kernel.sharding.spec == P(None, None, "fsdp", "tensor")
    assert state.opt_state["rule"].mu["conv_lstm1"]["kernel"].sharding == kernel.sharding
