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
    "flow": True,
    "hq": "resnet18",
    "lq": "resnet18",
    "lq_size": 16,
    "width": 0.125,
    "one_block": True,
    "flow_channels": (64, 128),
    "conv_lstm": (8, 6),
}


@functools.cache
def abstract(size=224, **options):
    model = build("dual_stream", lowering="native", **options)
    inputs = input_shapes("dual_stream", size, 1, 2, **options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(model.init, key, inputs)


@pytest.fixture(scope="module")
def small():
    """A small model of three streams, its variables, inputs with padding, its training step."""
    model = build("dual_stream", lowering="native", **SMALL)
    key = jax.random.key(0)
    inputs = {
        "hq": jax.random.normal(key, (2, 3, 32, 32, 3)),
        "lq": jax.random.normal(key, (2, 3, 16, 16, 3)),
        "flow": jax.random.normal(key, (2, 2, 32, 32, 2)),
        "mask": jnp.array([[True, True, True], [True, False, False]]),
    }
    variables = jax.jit(model.init)(key, inputs)

    @jax.jit
    def step(inputs):
        def loss(params):
            both = variables | {"params": params}
            logits, outputs, stats = model.apply(
                both, inputs, train=True, rngs={"dropout": jax.random.key(1)}
            )
            return jnp.sum(logits**2), (logits, outputs, stats)

        return jax.grad(loss, has_aux=True)(variables["params"])

    return model, variables, inputs, step


def test_without_flow_the_vectors_of_the_frames_have_the_clips_as_their_mean():
    options = SMALL | {"flow": False, "conv_lstm": (8,)}
    model = build("dual_stream", lowering="native", **options)
    shapes = input_shapes("dual_stream", 32, 2, 3, **options)
    mask = jnp.array([[True, True, True], [True, False, True]])
    inputs = {k: jax.random.normal(jax.random.key(2), s.shape) for k, s in shapes.items()}
    inputs["mask"] = mask

    @jax.jit
    def run(inputs):
        variables = model.init(jax.random.key(0), inputs)
        return model.apply(variables, inputs, train=False, rngs=None)[1]

    outputs = run(inputs)
    frames = np.asarray(outputs["frame_features"][..., :160]) * mask[..., None]
    mean = frames.sum(1) / np.sum(mask, axis=1)[:, None]
    np.testing.assert_allclose(mean, outputs["features"][:, :160], atol=1e-5)


def test_the_published_counts():
    variables = abstract()
    assert count(variables["params"]) == 58_458_311
    assert count(variables["batch_stats"]) == 167_216


def test_parameter_paths_and_shapes_are_a_public_format():
    leaves = jax.tree_util.tree_leaves_with_path(abstract())
    lines = sorted(
        f"{'.'.join(key.key for key in path)} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in leaves
    )
    golden = Path(__file__).parent / "golden" / "dual_stream.txt"
    assert lines == golden.read_text().splitlines()


def test_single_streams_drop_the_attention_and_the_other_backbone():
    both = abstract()["params"]
    hq, lq = (abstract(streams=streams)["params"] for streams in (("hq",), ("lq",)))
    assert set(both) - set(hq) == {"lq_backbone", "attention_hidden", "attention_weights"}
    assert "hq_backbone" not in lq and "hq_projection" not in lq
    assert hq["conv_lstm1"]["kernel"].shape[2] == 1792
    assert lq["conv_lstm1"]["kernel"].shape[2] == 1280


def test_the_flow_stream_joins_the_maps_and_the_fusion():
    two, three = abstract()["params"], abstract(flow=True)["params"]
    assert set(three) - set(two) == {"flow_cnn", "flow_projection"}
    assert three["conv_lstm1"]["kernel"].shape[2] == 1792 + 1280 + 512
    assert three["attention_weights"]["kernel"].shape[1] == 3
    # CNN, projection 512→1280, 512 more maps into 4 * 256 gates, and a third view to weigh
    more = 3_911_680 + 512 * 1280 + 1280 + 9 * 512 * 1024 + 1280 * 512 + 513
    assert count(three) == 58_458_311 + more


def test_masked_frames_change_nothing_in_training(small):
    _, _, inputs, step = small
    expected = step(inputs)
    frames = ~inputs["mask"][:, :, None, None, None]
    changed = {name: jnp.where(frames, jnp.nan, inputs[name]) for name in ("hq", "lq")}
    changed["flow"] = jnp.where(frames[:, :-1] | frames[:, 1:], jnp.nan, inputs["flow"])
    actual = step(inputs | changed)  # logits, outputs, statistics and gradients
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_outputs(small):
    _, variables, inputs, step = small
    gradients, (logits, outputs, stats) = step(inputs)
    assert logits.shape == (2,) and logits.dtype == jnp.float32
    assert_frame_logits(variables["params"], outputs, inputs["mask"])
    # the states after the last frame that is there, which padding leaves as they are
    states, last = outputs["frame_features"][..., 160:], outputs["features"][:, 160:]
    np.testing.assert_allclose(states[:, -1], last, rtol=1e-6)
    np.testing.assert_allclose(states[1, 0], last[1], rtol=1e-6)
    np.testing.assert_allclose(outputs["stream_weights"].sum(1), 1, rtol=1e-5)
    assert all(np.any(np.asarray(g) != 0) for g in jax.tree.leaves(gradients))
    assert set(stats) == {"hq_backbone", "lq_backbone", "flow_cnn"}


def test_evaluation_needs_no_randomness_and_keeps_the_statistics(small):
    model, variables, inputs, _ = small
    logits, _, stats = jax.jit(lambda v, x: model.apply(v, x, train=False, rngs=None))(
        variables, inputs
    )
    assert np.isfinite(logits).all()
    jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])


@pytest.mark.slow
def test_the_same_function_in_other_forms(small):
    _, variables, inputs, _ = small
    forms = [{}, {"lowering": "matmul"}, {"remat": "all"}, {"dtype": jnp.bfloat16}]
    models = [build("dual_stream", **({"lowering": "native"} | SMALL | form)) for form in forms]
    expected, matmul, remat, bfloat16 = jax.jit(
        lambda v, x: [m.apply(v, x, train=False, rngs=None)[0] for m in models]
    )(variables, inputs)
    np.testing.assert_allclose(matmul, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(remat, expected, rtol=0, atol=1e-5)
    assert bfloat16.dtype == jnp.float32
    np.testing.assert_allclose(bfloat16, expected, rtol=0, atol=3e-2)  # 8 bits, some 30 layers


def test_a_second_stream_of_the_wrong_size_is_refused(small):
    model, variables, inputs, _ = small
    wrong = inputs | {"lq": inputs["hq"]}
    with pytest.raises(UsageError, match="not lq_size=16"):
        jax.eval_shape(lambda v, x: model.apply(v, x, train=False, rngs=None), variables, wrong)


def test_monte_carlo_dropout_moves_the_logits_and_not_the_statistics(small):
    model, variables, inputs, _ = small
    run = jax.jit(lambda v, x, key: model.apply(v, x, train=False, rngs={"dropout": key}))
    (one, outputs, stats), (two, same, _) = (
        run(variables, inputs, jax.random.key(seed)) for seed in (0, 1)
    )
    assert np.any(one != two)
    # features come before the only dropout; drop path would have moved them
    np.testing.assert_array_equal(outputs["features"], same["features"])
    jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])
