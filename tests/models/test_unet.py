import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.layers import Compute
from dfjax.models.summary import count
from dfjax.models.unet import UNet
from dfjax.ops.lowering import MATMUL, NATIVE

CLIP = jax.random.normal(jax.random.key(0), (2, 2, 6, 9, 3))  # a side that is odd


def make(**options):
    network = UNet(**({"widths": (4, 6)} | options))
    return network, draw_variables(network.conv_lstm)


@functools.cache
def draw_variables(conv_lstm):
    """Returns the variables, which depend on no other option than the width of the recurrence."""
    network = UNet(widths=(4, 6), conv_lstm=conv_lstm)
    return jax.jit(lambda key: network.init(key, CLIP, train=False))(jax.random.key(1))


def shapes(network, clip):
    clip = jax.ShapeDtypeStruct(clip, jnp.float32)
    return jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), clip)


def test_parameters_by_hand():
    block = lambda i, o: 9 * i * o + 9 * o * o + 4 * o  # noqa: E731  # two kernels, two norms
    down = block(3, 64) + block(64, 128) + block(128, 256) + block(256, 512)
    up = block(512 + 256, 256) + block(256 + 128, 128) + block(128 + 64, 64)
    assert count(shapes(UNet(), (1, 1, 16, 16, 3))["params"]) == down + up + 64 * 3 + 3
    recurrent = shapes(UNet(conv_lstm=32), (1, 1, 16, 16, 3))["params"]
    up = block(32 + 256, 256) + block(256 + 128, 128) + block(128 + 64, 64)
    gates = 9 * (512 + 32) * 4 * 32 + 4 * 32
    assert count(recurrent) == down + gates + up + 64 * 3 + 3


def test_paths_of_the_parameters():
    params = shapes(UNet(conv_lstm=8), (1, 1, 16, 16, 3))["params"]
    levels = {f"down{n}" for n in (1, 2, 3, 4)} | {f"up{n}" for n in (1, 2, 3)}
    assert set(params) == levels | {"conv_lstm", "rgb"}
    assert set(params["up1"]) == {"conv1", "bn1", "conv2", "bn2"}


@pytest.mark.parametrize("side", [8, 9, 15, 17])
def test_any_size_comes_back_as_it_was(side):
    network = UNet(widths=(2, 2, 2, 2))
    clip = jax.ShapeDtypeStruct((1, 2, side, side + 1, 3), jnp.float32)
    variables = shapes(network, clip.shape)
    out = jax.eval_shape(lambda v, x: network.apply(v, x, train=False), variables, clip)
    assert out.shape == clip.shape and out.dtype == jnp.float32


def test_without_weights_the_residual_is_the_input_and_the_other_is_grey():
    for residual, expected in ((True, CLIP), (False, jnp.zeros_like(CLIP))):
        network, variables = make(residual=residual)
        rgb = {"rgb": jax.tree.map(jnp.zeros_like, variables["params"]["rgb"])}
        variables = variables | {"params": variables["params"] | rgb}
        run = jax.jit(lambda tree, network=network: network.apply(tree, CLIP, train=False))
        np.testing.assert_array_equal(run(variables), expected)


def test_without_residual_the_output_is_bounded():
    network, variables = make(residual=False)
    assert np.abs(network.apply(variables, 50 * CLIP, train=False)).max() <= 1


def frames_that_change(network, variables):
    other = CLIP.at[:, 0].add(1.0)
    run = jax.jit(lambda clip: network.apply(variables, clip, train=False) - clip)
    return np.abs(run(CLIP) - run(other)).max(axis=(0, 2, 3, 4)) > 1e-6


def test_frames_know_each_other_through_the_recurrence_only():
    assert frames_that_change(*make()).tolist() == [True, False]
    assert frames_that_change(*make(conv_lstm=4)).tolist() == [True, True]


def test_what_a_masked_frame_holds_changes_nothing():
    network, variables = make(conv_lstm=4)
    mask = jnp.array([[True, True], [True, False]])

    @jax.jit
    def run(clip):
        return network.apply(variables, clip, mask, train=True, mutable=["batch_stats"])

    restored, new = run(CLIP)
    other, new_other = run(CLIP.at[1, 1].set(jnp.nan))
    np.testing.assert_array_equal(restored[mask], other[mask])
    jax.tree.map(np.testing.assert_array_equal, new, new_other)


def test_lowerings_agree_and_every_parameter_has_a_gradient():
    results = []
    for lowering in (NATIVE, MATMUL):
        network, variables = make(compute=Compute(jnp.float32, lowering))

        def loss(params, network=network, variables=variables):
            tree = variables | {"params": params}
            out, _ = network.apply(tree, CLIP, train=True, mutable=["batch_stats"])
            return jnp.mean(out**2), out

        results.append(jax.jit(jax.grad(loss, has_aux=True))(variables["params"]))
    (native, out), (matmul, other) = results
    np.testing.assert_allclose(other, out, atol=1e-5 * np.abs(out).max())
    peak = max(np.abs(leaf).max() for leaf in jax.tree.leaves(native))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=1e-5 * peak), native, matmul)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(native))
