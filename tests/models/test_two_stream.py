import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from head_by_hand import assert_frame_logits

from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.summary import count

SMALL = {
    "backbone": "resnet18",
    "width": 0.125,
    "one_block": True,
    "conv_lstm": (8, 6),
    "flow_channels": (64, 128),
}
CHEAP = {"xla_backend_optimization_level": 0}  # compiling is all that these programs cost


@functools.cache
def abstract(size=224, **options):
    model = build("two_stream", lowering="native", **options)
    inputs = input_shapes("two_stream", size, 1, 2, **options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(model.init, key, inputs)


@pytest.fixture(scope="module")
def small():
    """A small model, its variables, inputs with padding frames, and its training step."""
    model = build("two_stream", lowering="native", **SMALL)
    keys = jax.random.split(jax.random.key(0), 3)
    inputs = {
        "rgb": jax.random.normal(keys[0], (3, 4, 32, 32, 3)),
        "flow": jax.random.normal(keys[1], (3, 3, 32, 32, 2)),
        "mask": jnp.array([[True] * 4, [True] * 4, [False, True, True, False]]),
    }
    variables = jax.jit(model.init, compiler_options=CHEAP)(keys[2], inputs)

    @functools.partial(jax.jit, compiler_options=CHEAP)
    def step(inputs):
        def loss(params):
            logits, outputs, stats = model.apply(
                variables | {"params": params}, inputs, train=True, rngs={"dropout": keys[2]}
            )
            return jnp.sum(logits**2), (logits, outputs, stats)

        return jax.grad(loss, has_aux=True)(variables["params"])

    return variables["params"], inputs, step


def test_the_published_counts():
    params = abstract()["params"]
    assert count(params) == 131_500_610
    assert count(params["resnet50"]) == 23_508_032
    frames_only = abstract(flow=False)["params"]
    assert count(frames_only) == 89_704_514
    assert set(params) - set(frames_only) == {"flow_cnn", "flow_conv_lstm1", "flow_conv_lstm2"}


def test_parameter_paths_and_shapes_are_a_public_format():
    leaves = jax.tree_util.tree_leaves_with_path(abstract())
    lines = sorted(
        f"{'.'.join(key.key for key in path)} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in leaves
    )
    golden = Path(__file__).parent / "golden" / "two_stream_flow.txt"
    assert lines == golden.read_text().splitlines()


def test_every_parameter_moves_but_the_bias_that_a_softmax_makes_irrelevant(small):
    params, inputs, step = small
    gradients, (logits, outputs, _) = step(inputs)
    assert logits.shape == (3,) and logits.dtype == jnp.float32
    bias = gradients["attention"]["score"].pop("bias")
    np.testing.assert_allclose(bias, 0, atol=1e-6)
    assert all(np.any(np.asarray(g) != 0) for g in jax.tree.leaves(gradients))
    weights = np.asarray(outputs["frame_attention"])
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(weights[2] > 0, [False, True, True, False])
    assert_frame_logits(params, outputs, inputs["mask"])
    mean = np.einsum("btd,bt->bd", outputs["frame_features"], weights)
    np.testing.assert_allclose(outputs["features"], mean, atol=1e-6)


def test_masked_frames_and_the_flow_beside_them_change_nothing_in_training(small):
    _, inputs, step = small
    mask = inputs["mask"][:, :, None, None, None]
    pairs = mask[:, :-1] & mask[:, 1:]
    changed = inputs | {
        "rgb": jnp.where(mask, inputs["rgb"], jnp.nan),
        "flow": jnp.where(pairs, inputs["flow"], jnp.nan),
    }
    jax.tree.map(np.testing.assert_array_equal, step(changed), step(inputs))


def test_the_order_of_frames_matters(small):
    _, inputs, step = small
    _, (expected, _, _) = step(inputs)
    _, (actual, _, _) = step(inputs | {"rgb": inputs["rgb"][:, ::-1]})
    assert np.all(np.abs(np.asarray(actual - expected))[:2] > 1e-4)
    _, (actual, _, _) = step(inputs | {"flow": inputs["flow"][:, ::-1]})
    assert np.all(np.abs(np.asarray(actual - expected))[:2] > 1e-4)


def test_bfloat16_keeps_logits_and_statistics_in_float32():
    model = build("two_stream", lowering="native", dtype=jnp.bfloat16, **SMALL)
    inputs = input_shapes("two_stream", 32, 1, 2, **SMALL)
    variables = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), inputs)
    logits, _, stats = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=True, rngs={"dropout": jax.random.key(0)}),
        variables,
        inputs,
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, stats))} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"backbone": "resnet51"}, "resnet51"),
        ({"padding": "static"}, "resnet50 does not support padding"),
        ({"dropout": ()}, "1 classifier layers but 0"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build("two_stream", **options)
