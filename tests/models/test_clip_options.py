"""Tests the options of the clip detector, alone and combined."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.models import build, input_shapes, input_streams

KEYS = jax.random.split(jax.random.key(0), 4)
# Both clips are of four frames; the second has two, in the middle.
MASK = jnp.array([[True] * 4, [False, True, True, False]])
CHEAP = {"xla_backend_optimization_level": 0}  # compiling is all that these programs cost
ORDER = jnp.array([2, 0, 3, 1])
STORED = {"features": 12, "hidden": 8, "classifier": (8,), "dropout": (0.1,)}
FRAMES = {"backbone": "resnet18", "width": 0.125, "one_block": True, "hidden": 64}

FORMS = {
    "gate, two pathways": STORED
    | {"cross_attention": True, "join": "gate", "dual_pathway": True, "pooling": "attention"},
    "residual, attention": STORED
    | {"temporal": "gru", "self_attention": True, "join": "residual", "pooling": "query"},
    "ConvLSTM": FRAMES | {"temporal": "conv_lstm", "spatial_attention": True, "pooling": "last"},
    "pyramid, scales, frequencies": FRAMES
    | {"temporal": "none", "scales": (32, 16), "pyramid": 64, "frequency": "dct"}
    | {"frequency_channels": (64,), "pooling": "attention"},
}
"""Options that touch different links of the chain are tried together: that is one compilation."""


def is_irrelevant(path):
    """One number added to all scores of a softmax; the gate on cells is none."""
    names = [key.key for key in path]
    return names[0] != "spatial" and names[-2:] in (["key", "bias"], ["score", "bias"])


def make_inputs(options):
    shapes = input_shapes("clip_detector", 32, 2, 4, **options)
    inputs = {
        name: jax.random.normal(jax.random.fold_in(KEYS[0], len(name)), spec.shape)
        for name, spec in shapes.items()
        if name != "mask"
    }
    return inputs | {"mask": MASK}


def pad_with_nan(inputs):
    return {
        name: value
        if name == "mask"
        else jnp.where(MASK.reshape(2, 4, *[1] * (value.ndim - 2)), value, jnp.nan)
        for name, value in inputs.items()
    }


def make_step(options, inputs):
    """The training step of a fresh model, without its randomness."""
    model = build("clip_detector", lowering="native", **options)
    variables = jax.jit(model.init, compiler_options=CHEAP)(KEYS[1], inputs)

    @functools.partial(jax.jit, compiler_options=CHEAP)
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


SLOW = ("gate, two pathways", "ConvLSTM", "pyramid, scales, frequencies")


@pytest.mark.parametrize(
    "form", [pytest.param(f, marks=pytest.mark.slow) if f in SLOW else f for f in FORMS]
)
def test_gradients_padding_and_order(form):
    inputs = make_inputs(FORMS[form])
    step = make_step(FORMS[form], inputs)
    result = gradients, (logits, *_) = step(inputs)
    assert logits.shape == (2,) and logits.dtype == jnp.float32
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        if is_irrelevant(path):
            np.testing.assert_allclose(leaf, 0, atol=1e-6)
        else:
            assert np.any(leaf != 0), path
    jax.tree.map(np.testing.assert_array_equal, step(pad_with_nan(inputs)), result)
    shuffled = {name: x.at[0].set(x[0, ORDER]) for name, x in inputs.items()}
    _, (other, _, _) = step(shuffled)
    if FORMS[form].get("temporal") == "none":
        np.testing.assert_allclose(other[0], logits[0], atol=1e-4)
    else:
        assert np.abs(other[0] - logits[0]) > 1e-4


def test_inputs_are_one_stream_per_scale():
    assert input_streams("clip_detector", 64, scales=(160, 320, 224)) == {
        "rgb": 320,
        "rgb_224": 224,
        "rgb_160": 160,
    }
    shapes = input_shapes("clip_detector", 64, 2, 4, scales=(16, 32))
    assert shapes["rgb"].shape == (2, 4, 32, 32, 3)
    assert shapes["rgb_16"].shape == (2, 4, 16, 16, 3)


@functools.cache
def abstract(**options):
    model = build("clip_detector", lowering="native", **options)
    inputs = input_shapes("clip_detector", 64, 2, 4, **options)
    return jax.eval_shape(model.init, jax.eval_shape(lambda: KEYS[0]), inputs)["params"]


BILSTM = {"backbone": "resnet18", "one_block": True, "layers": 2, "pooling": "attention"}


@pytest.mark.parametrize(
    "option, adds, takes",
    [
        ({"temporal": "gru"}, (), ()),
        ({"layer_norm": True}, (), ()),
        ({"peephole": True}, (), ()),
        ({"temporal": "conv_lstm"}, ("conv_recurrent",), ("recurrent",)),
        ({"temporal": "transformer"}, ("encoder",), ("recurrent",)),
        ({"self_attention": True}, ("self",), ()),
        ({"cross_attention": True}, ("cross",), ()),
        ({"join": "gate"}, ("join",), ()),
        ({"join": "residual"}, ("join",), ()),
        (
            {"dual_pathway": True},
            ("encoder", "encoder_projection", "encoder_pooling", "pathway_hidden")
            + ("pathway_weights",),
            (),
        ),
        ({"pyramid": 128}, ("pyramid",), ()),
        ({"spatial_attention": True}, ("spatial",), ()),
        ({"scales": (320, 224, 160)}, ("scales",), ()),
        ({"frequency": "dct"}, ("frequency",), ()),
        ({"frequency": "fft"}, ("frequency",), ()),
    ],
    ids=str,
)
def test_one_option_is_one_improvement(option, adds, takes):
    """What each adds to the BiLSTM detector or takes from it, all else being as it was."""
    plain, improved = abstract(**BILSTM), abstract(**BILSTM | option)
    assert set(improved) - set(plain) == set(adds)
    assert set(plain) - set(improved) == set(takes)
    assert plain["backbone"] == improved["backbone"]


def test_widths_side_by_side():
    both = abstract(**BILSTM, pyramid=128, frequency="dct")
    assert both["recurrent"]["layer1_forward"]["kernel"].shape[0] == 3 * 128 + 128


@pytest.mark.parametrize(
    "options, message",
    [
        ({"frequency": "dwt"}, "unknown frequency 'dwt'"),
        ({"join": "sum"}, "unknown join 'sum'"),
        ({"scales": (224,)}, "two or more different sides"),
        ({"scales": (224, 224)}, "two or more different sides"),
        ({"features": 12, "pyramid": 64}, "pyramid needs frames"),
        ({"backbone": "clip_t8", "pyramid": 64}, "clip_t8 has those of its patches and its class"),
        ({"features": 12, "temporal": "conv_lstm"}, "temporal=conv_lstm needs frames"),
        ({"temporal": "conv_lstm", "projection": 64}, "projection has no effect"),
        ({"temporal": "conv_lstm", "frequency": "fft"}, "frequency has no effect"),
        ({"temporal": "transformer", "peephole": True}, "set temporal=lstm"),
        ({"temporal": "none", "join": "gate"}, "temporal=none has no states"),
        ({"temporal": "none", "cross_attention": True}, "temporal=none has no states"),
        (
            {"temporal": "transformer", "dual_pathway": True},
            "temporal=transformer is not recurrent",
        ),
        ({"self_attention": True, "hidden": 9}, "the width 18 is not divisible by 4 heads"),
        ({"dual_pathway": True, "features": 10}, "the width 10 is not divisible by 4 heads"),
    ],
    ids=str,
)
def test_options_without_effect_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build("clip_detector", **options)
