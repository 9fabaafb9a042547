import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from head_by_hand import assert_frame_logits

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.models import build, input_extras, input_shapes, input_streams
from dfjax.models.summary import count

GOLDEN = Path(__file__).parent / "golden"
KEYS = jax.random.split(jax.random.key(0), 4)
# Both clips are of four frames; the second has two, in the middle.
MASK = jnp.array([[True] * 4, [False, True, True, False]])
STORED = {"features": jax.random.normal(KEYS[0], (2, 4, 12)), "mask": MASK}
HEAD = {"features": 12, "projection": 16, "classifier": (8,), "dropout": (0.1,)}
LSTM = HEAD | {"hidden": 6, "layers": 2}
TRANSFORMER = HEAD | {"temporal": "transformer", "layers": 2, "feed_forward": 24}
SMALL = {
    "backbone": "resnet18",
    "width": 0.125,
    "one_block": True,
    "hidden": 48,
    "pooling": "attention",
}
FORMS = {
    "lstm": LSTM | {"layer_norm": True, "peephole": True, "pooling": "last"},
    "gru": LSTM | {"temporal": "gru", "pooling": "attention", "bidirectional": False},
    "transformer": TRANSFORMER | {"pooling": "query", "temporal_dropout": 0.1},
    "post-norm": TRANSFORMER | {"norm_first": False, "activation": "relu", "positions": "learned"},
    "none": HEAD | {"temporal": "none"},
}


@functools.cache
def abstract(spec):
    """Returns the shapes of the variables of a config."""
    options = options_of(spec)
    model = build("clip_detector", lowering="native", **options)
    inputs = input_shapes("clip_detector", 64, 1, 2, **options)
    return jax.eval_shape(model.init, jax.eval_shape(lambda: KEYS[0]), inputs)


def make(options, inputs=STORED, **build_options):
    model = build("clip_detector", **build_options, **options)
    return model, jax.jit(model.init)(KEYS[1], inputs)


def make_step(model, variables):
    """The training step: gradients, and logits, outputs and statistics beside them."""

    @jax.jit
    def step(inputs):
        def loss(params):
            logits, outputs, stats = model.apply(
                variables | {"params": params}, inputs, train=True, rngs={"dropout": KEYS[2]}
            )
            # weighted, for the sum of a normalised vector has no gradient
            weight = 1 + jnp.arange(logits.shape[0])
            return jnp.sum(weight * (logits - 0.3) ** 2), (logits, outputs, stats)

        return jax.grad(loss, has_aux=True)(variables["params"])

    return step


def evaluate(models, variables, inputs):
    """The logits of every model, in one compilation."""

    @jax.jit
    def run(variables, inputs):
        return [model.apply(variables, inputs, train=False, rngs=None)[0] for model in models]

    return run(variables, inputs)


def options_of(spec):
    return load_config(spec).model.clip_detector.to_dict()


@pytest.mark.parametrize(
    "spec,parts",
    [
        ("hybrid", {"backbone": 4_007_548, "projection": 1280 * 1024 + 1024}),
        ("resnet18_bilstm", {"backbone": 11_176_512, "recurrent": 3_153_920, "pooling": 513}),
        ("transformer_head", {"encoder": 2_108_416, "projection": 1280 * 256 + 256}),
    ],
)
def test_the_published_counts(spec, parts):
    params = abstract(spec)["params"]
    assert {name: count(params[name]) for name in parts} == parts
    totals = {"hybrid": 11_914_365, "resnet18_bilstm": 14_331_458}
    # encoder and projection 2,436,352, and what is ours: query 256 and logit 257
    totals["transformer_head"] = 2_436_352 + 256 + 257
    assert count(params) == totals[spec]


@pytest.mark.parametrize("spec", ["hybrid", "resnet18_bilstm", "transformer_head"])
def test_parameter_paths_and_shapes_are_a_public_format(spec):
    lines = sorted(
        f"{'.'.join(key.key for key in path)} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(abstract(spec))
    )
    assert lines == (GOLDEN / f"{spec}.txt").read_text().splitlines()


def test_inputs_are_frames_or_stored_features():
    assert input_streams("clip_detector", 64) == {"rgb": 64}
    assert input_extras("clip_detector") == ()
    assert input_streams("clip_detector", 64, features=12) == {}
    assert input_extras("clip_detector", features=12) == ("features",)
    shapes = input_shapes("clip_detector", 64, 2, 4, **HEAD)
    assert {key: spec.shape for key, spec in shapes.items()} == {
        "features": (2, 4, 12),
        "mask": (2, 4),
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_moves_and_padding_changes_nothing(form):
    """But for biases that a softmax makes irrelevant: one number added to all of its scores."""
    model, variables = make(FORMS[form])
    step = make_step(model, variables)
    result = gradients, (logits, outputs, _) = step(STORED)
    assert logits.shape == (2,) and logits.dtype == jnp.float32
    assert outputs["features"].shape[0] == 2
    assert_frame_logits(variables["params"], outputs, MASK)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        if [key.key for key in path[-2:]] in (["key", "bias"], ["score", "bias"]):
            np.testing.assert_allclose(leaf, 0, atol=1e-6)
        else:
            assert np.any(leaf != 0), path
    if "frame_attention" in outputs:
        np.testing.assert_allclose(outputs["frame_attention"].sum(1), 1, rtol=1e-5)
        np.testing.assert_array_equal(outputs["frame_attention"] > 0, MASK)
    padded = STORED | {"features": jnp.where(MASK[..., None], STORED["features"], jnp.nan)}
    _, (again, *_) = changed = step(padded)
    np.testing.assert_array_equal(again, logits)
    jax.tree.map(np.testing.assert_array_equal, changed[0], result[0])


def test_frames_through_a_backbone():
    inputs = {"rgb": jax.random.normal(KEYS[3], (2, 4, 32, 32, 3)), "mask": MASK}
    model, variables = make(SMALL, inputs, lowering="native")
    step = make_step(model, variables)
    gradients, (logits, _, stats) = step(inputs)
    score = gradients["pooling"]["score"].pop("bias")
    np.testing.assert_allclose(score, 0, atol=1e-6)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))
    padded = inputs | {"rgb": jnp.where(MASK[:, :, None, None, None], inputs["rgb"], jnp.nan)}
    new_gradients, (new_logits, _, new_stats) = step(padded)
    new_gradients["pooling"]["score"].pop("bias")
    jax.tree.map(
        np.testing.assert_array_equal,
        (new_gradients, new_logits, new_stats),
        (gradients, logits, stats),
    )


def test_a_frozen_base_keeps_its_statistics():
    inputs = {"rgb": jax.random.normal(KEYS[3], (2, 4, 32, 32, 3)), "mask": MASK}
    frozen = SMALL | {"base_train": False, "drop_path": 0.5}
    model, variables = make(frozen, inputs, lowering="native")

    @jax.jit
    def run(variables, inputs):
        return [
            model.apply(variables, inputs, train=train, rngs={"dropout": KEYS[2]})
            for train in (True, False)
        ]

    (trained, _, stats), (evaluated, *_) = run(variables, inputs)
    jax.tree.map(np.testing.assert_array_equal, stats, variables["batch_stats"])
    np.testing.assert_allclose(trained, evaluated, atol=1e-5)


ORDER = jnp.array([2, 0, 3, 1])
TEMPORAL = {
    "lstm": (LSTM, True),
    "gru": (LSTM | {"temporal": "gru"}, True),
    "transformer": (TRANSFORMER, True),
    "learned positions": (TRANSFORMER | {"positions": "learned"}, True),
    "without positions": (TRANSFORMER | {"positions": "none", "pooling": "query"}, False),
    "no temporal module": (HEAD | {"temporal": "none"}, False),
}


@pytest.mark.parametrize("form", TEMPORAL)
def test_another_order_of_frames(form):
    options, matters = TEMPORAL[form]
    model, variables = make(options)
    both = {name: jnp.concatenate([value, value[:, ORDER]]) for name, value in STORED.items()}
    logits, other = jnp.split(evaluate([model], variables, both)[0], 2)
    if matters:
        assert np.all(np.abs(other - logits) > 1e-4)
    else:
        np.testing.assert_allclose(other, logits, atol=1e-5)


def test_the_temperature_is_for_evaluation_only():
    options = HEAD | {"temporal": "none", "dropout": (0.0,)}
    model, variables = make(options)
    cold = build("clip_detector", **options, temperature=0.7)
    logits, colder = evaluate([model, cold], variables, STORED)
    np.testing.assert_allclose(colder, logits / 0.7, rtol=1e-5)
    _, outputs, _ = cold.apply(variables, STORED, train=False, rngs=None)
    warm = {"frame_logits": outputs["frame_logits"] * 0.7}
    assert_frame_logits(variables["params"], outputs | warm, MASK)
    _, (trained, *_) = make_step(cold, variables)(STORED)
    np.testing.assert_allclose(trained, logits, rtol=1e-5)


@pytest.mark.parametrize("form", ["lstm", "transformer"])
def test_bfloat16(form):
    model, variables = make(FORMS[form])
    half = build("clip_detector", dtype=jnp.bfloat16, **FORMS[form])
    expected, got = evaluate([model, half], variables, STORED)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-2)  # 8 bits, two layers
    gradients, _ = jax.eval_shape(make_step(half, variables), STORED)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(gradients)} == {"float32"}


@pytest.mark.parametrize(
    "options,message",
    [
        ({"temporal": "rnn"}, "unknown temporal 'rnn'"),
        ({"pooling": "max"}, "unknown pooling 'max'"),
        ({"positions": "rotary"}, "unknown positions 'rotary'"),
        ({"activation": "tanh"}, "unknown activation 'tanh'"),
        ({"backbone": "b9"}, "unknown backbone 'b9'"),
        ({"temporal": "gru", "peephole": True}, "a GRU has neither"),
        ({"classifier": (8,)}, "1 classifier layers but 0 dropout rates"),
        ({"layers": 0}, "temporal=none"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"temporal": "transformer", "projection": 10}, "the width 10 is not divisible by 4 heads"),
        ({"temporal": "transformer", "features": 10}, "the width 10 is not divisible by 4 heads"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(UsageError, match=message):
        build("clip_detector", **options)
