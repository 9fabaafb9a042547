import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.layers import Compute
from dfjax.models.summary import count
from dfjax.models.unet import UNet, add_bounded
from dfjax.ops.lowering import MATMUL, NATIVE

MASK = jnp.ones((2, 2), bool)
CLIP = jnp.tanh(jax.random.normal(jax.random.key(0), (2, 2, 6, 9, 3)))  # a side that is odd
INPUTS = {"rgb": CLIP, "mask": MASK}


def make(**options):
    network = UNet(**({"channels": (8, 16)} | options))
    return network, draw_variables(network.conv_lstm)


@functools.cache
def draw_variables(conv_lstm):
    """Returns the variables, which depend on no other option than the width of the recurrence."""
    network = UNet(channels=(8, 16), conv_lstm=conv_lstm, residual=False)  # no kernel is 0
    return jax.jit(lambda key: network.init(key, INPUTS, train=False))(jax.random.key(1))


def restore(network, variables, inputs, **how):
    return jax.jit(lambda tree: network.apply(tree, inputs, train=False, **how)[0])(variables)


def shapes(size=16, **options):
    model = build("unet", lowering="native", **options)
    inputs = input_shapes("unet", size, 1, 2, **options)
    return jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), inputs)


def test_parameters_by_hand():
    block = lambda i, o: 9 * i * o + 9 * o * o + 4 * o  # noqa: E731  # two kernels, two norms
    down = block(3, 64) + block(64, 128) + block(128, 256) + block(256, 512)
    up = block(512 + 256, 256) + block(256 + 128, 128) + block(128 + 64, 64)
    assert count(shapes()["params"]) == down + up + 64 * 3 + 3
    gates = 9 * (512 + 32) * 4 * 32 + 4 * 32
    up = block(32 + 512, 512) + block(512 + 256, 256) + block(256 + 128, 128) + block(128 + 64, 64)
    assert count(shapes(conv_lstm=(32,))["params"]) == down + gates + up + 64 * 3 + 3


def test_counts_and_paths_of_the_generator_of_defake():
    variables = shapes(conv_lstm=(512,))
    assert (count(variables["params"]), count(variables["batch_stats"])) == (33_742_211, 7_680)
    lines = sorted(
        f"{'.'.join(key.key for key in path)} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    )
    golden = Path(__file__).parent / "golden" / "defake.txt"
    assert lines == golden.read_text().splitlines()


@pytest.mark.parametrize("side", [1, 15, 16, 17])
def test_any_size_comes_back_as_it_was(side):
    network = UNet(channels=(8, 8, 8, 8), conv_lstm=(8,))
    inputs = {
        "rgb": jax.ShapeDtypeStruct((1, 2, side, side + 1, 3), jnp.float32),
        "mask": jax.ShapeDtypeStruct((1, 2), jnp.bool_),
    }
    key = jax.eval_shape(lambda: jax.random.key(0))
    out, _ = jax.eval_shape(
        lambda k, x: network.init_with_output(k, x, train=False)[0], key, inputs
    )
    assert out.shape == inputs["rgb"].shape and out.dtype == jnp.float32


def test_padding_repeats_the_border_and_is_cropped():
    network, variables = make()
    padded = jnp.pad(CLIP, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0)), "edge")  # 9 becomes 10
    small = restore(network, variables, INPUTS)
    large = restore(network, variables, INPUTS | {"rgb": padded})
    np.testing.assert_array_equal(small, large[..., :9, :])


def test_without_weights_the_residual_is_the_input_and_the_other_is_grey():
    for residual, expected in ((True, CLIP), (False, jnp.zeros_like(CLIP))):
        network, variables = make(residual=residual)
        rgb = {"rgb": jax.tree.map(jnp.zeros_like, variables["params"]["rgb"])}
        variables = variables | {"params": variables["params"] | rgb}
        np.testing.assert_array_equal(restore(network, variables, INPUTS), expected)


def test_a_residual_network_returns_its_input_before_training():
    network = UNet(channels=(8, 16))
    out, _ = jax.jit(lambda key: network.init_with_output(key, INPUTS, train=False)[0])(
        jax.random.key(1)
    )
    np.testing.assert_array_equal(out, CLIP)


def test_the_output_is_bounded():
    for residual in (True, False):
        network, variables = make(residual=residual)
        variables = jax.tree.map(lambda leaf: 50 * leaf, variables)
        assert np.abs(restore(network, variables, INPUTS)).max() <= 1


def test_a_bounded_change_by_hand():
    clip, change = jnp.array([0.5, 0.5, -1.0, 0.25]), jnp.array([jnp.inf, -jnp.inf, 1.0, 0.0])
    expected = [1.0, -1.0, 2 * np.tanh(1.0) - 1, 0.25]
    np.testing.assert_allclose(add_bounded(clip, change), expected, rtol=1e-6)


def frames_that_change(network, variables):
    other = INPUTS | {"rgb": CLIP.at[:, 0].multiply(0.5)}
    change = [restore(network, variables, x) - x["rgb"] for x in (INPUTS, other)]
    return np.abs(change[0] - change[1]).max(axis=(0, 2, 3, 4)) > 1e-6


def test_frames_know_each_other_through_the_recurrence_only():
    assert frames_that_change(*make()).tolist() == [True, False]
    assert frames_that_change(*make(conv_lstm=(8,))).tolist() == [True, True]


def test_what_a_masked_frame_holds_changes_nothing():
    network, variables = make(conv_lstm=(8,))
    mask = jnp.array([[True, True], [True, False]])

    @jax.jit
    def run(clip):
        inputs = {"rgb": clip, "mask": mask}
        return network.apply(variables, inputs, train=True, mutable=["batch_stats"])

    (restored, _), new = run(CLIP)
    (other, _), new_other = run(CLIP.at[1, 1].set(jnp.nan))
    np.testing.assert_array_equal(restored[mask], other[mask])
    jax.tree.map(np.testing.assert_array_equal, new, new_other)


def compute_gradient(**options):
    network, variables = make(conv_lstm=(8,), **options)

    def loss(params):
        tree = variables | {"params": params}
        (out, _), _ = network.apply(tree, INPUTS, train=True, mutable=["batch_stats"])
        return jnp.mean(out**2), out

    return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])


@pytest.fixture(scope="module")
def native():
    return compute_gradient(compute=Compute(jnp.float32, NATIVE))


def test_every_parameter_has_a_gradient(native):
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(native[0]))


@pytest.mark.parametrize(
    "options",
    [{"compute": Compute(jnp.float32, MATMUL)}, {"remat": "block"}, {"remat": "all"}],
    ids=["matmul", "block", "all"],
)
def test_gradients_do_not_depend_on_lowering_and_recomputation(native, options):
    grads, out = compute_gradient(**options)
    np.testing.assert_allclose(out, native[1], atol=1e-5)
    peak = max(np.abs(leaf).max() for leaf in jax.tree.leaves(native[0]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=1e-5 * peak), native[0], grads)


def test_a_generator_without_levels_is_refused():
    with pytest.raises(UsageError, match="channels is empty"):
        build("unet", channels=())
