"""Compiles parts of training for a TPU v5e, and compares the compiler's figures with past ones.

The figures are of one version of the compiler (`VERSION`). With another one, compile the commit
that last changed them, and take its figures as the new ones.
"""

import importlib.metadata

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import SingleDeviceSharding

from dfjax.bench.hlo_figures import count_cycles
from dfjax.bench.tpu_compiler import describe_chips, read_figures
from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment.step_program import clips_per_chip, describe_parts, lower_train_step
from dfjax.models.layers import TF_BN, Compute
from dfjax.models.mbconv import MBConv, Stage
from dfjax.ops.activations import lower_activation
from dfjax.ops.lowering import resolve
from dfjax.training.sharding import make_mesh

pytestmark = [
    pytest.mark.tpu,
    # Programs of other machines are written to the cache of this one, which cannot read them.
    pytest.mark.filterwarnings("ignore:Error reading persistent compilation cache entry"),
]

VERSION = "0.0.42.1"  # with jax 0.10.2
SLACK = 1.05
"""Growth of a figure that fails the test."""

FRAMES = 128
BLOCK = (31.73, 0.1337)
STEP = (75.86, 0.4118)
"""Millions of bytes accessed and of cycles, per frame of the block and per clip of the step."""


def check(compiled, expected, items):
    """Compares bytes accessed and cycles, in millions per item, with committed figures."""
    found = read_figures(compiled).bytes_accessed, count_cycles(compiled.as_text())
    measured = [figure / items / 1e6 for figure in found]
    version = importlib.metadata.version("libtpu")
    for name, value, before in zip(("bytes", "cycles"), measured, expected):
        assert 0 < value <= SLACK * before, (
            f"{value:.4f} million {name} per item, {before} with libtpu {VERSION}; now {version}"
        )


def test_an_inverted_residual_block_moves_no_more_bytes():
    sharding = SingleDeviceSharding(describe_chips("v5e:1x1")[0])
    compute = Compute(jnp.bfloat16, resolve("auto", platform="tpu", batch_on_every_axis=True))
    silu = lower_activation(jax.nn.silu, compute.lowering)
    block = MBConv(Stage(1, 3, 1, 6, 32), 1, 32, ((1, 1), (1, 1)), 0.0, TF_BN, silu, True, compute)

    def shape(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    def loss(params, batch_stats, x, mask):
        variables = {"params": params, "batch_stats": batch_stats}
        y, new = block.apply(variables, x, mask, train=True, mutable=["batch_stats"])
        return jnp.sum(jnp.square(y.astype(jnp.float32))), new

    x = jax.ShapeDtypeStruct((FRAMES, 56, 56, 32), jnp.bfloat16)
    mask = jax.ShapeDtypeStruct((FRAMES,), jnp.bool_)
    variables = jax.eval_shape(lambda *a: block.init(*a, train=False), jax.random.key(0), x, mask)
    arguments = jax.tree.map(shape, (variables["params"], variables["batch_stats"], x, mask))
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 2), has_aux=True))
    check(step.lower(*arguments).compile(), BLOCK, FRAMES)


def test_a_tiny_training_step_moves_no_more_bytes():
    config = load_config("resnet18:tiny", {"precision": "bfloat16", "train.batch_size": 16})
    parts = describe_parts(config, describe_chips("v5e:2x4"))
    compiled = lower_train_step(config, parts).compile()
    check(compiled, STEP, clips_per_chip(config, parts))


def test_an_unknown_topology_is_refused():
    with pytest.raises(UsageError, match="v5e:2x4"):
        describe_chips("v5e:3x5")


def test_only_the_axis_data_crosses_slices():
    devices = describe_chips("v5e:16x16", slices=2)
    mesh = make_mesh(64, 8, 1, devices=devices)
    halves = mesh.devices[:32], mesh.devices[32:]
    assert [len({device.slice_index for device in half.flat}) for half in halves] == [1, 1]
    with pytest.raises(UsageError, match="2 slices"):
        make_mesh(1, 512, 1, devices=devices)


def test_a_mesh_over_both_cores_of_a_chip():
    assert make_mesh(4, 2, 1, devices=describe_chips("v4:2x2x1")).devices.shape == (4, 2, 1)
