from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.summary import count

CONFIGS = {
    "efficientnet_b4": (18_468_682, 126_224),
    "efficientnet_b4_linear": (17_552_202, 125_200),
    "efficientnet_b4_380": (18_471_753, 129_808),
    # backbone, hidden layer of 512 and its normalisation, two classes
    "resnet50": (23_508_032 + 2048 * 512 + 512 + 1024 + 1026, 54_144),
    "xception": (20_806_952 + 2048 * 512 + 512 + 1024 + 1026, 55_552),
    "efficientnet_v2s": (20_177_488 + 1280 * 512 + 512 + 1024 + 1026, 154_896),
    "resnet18": (11_176_512 + 513, 9_600),
    "gend": (303_179_776 + 2 * 1024 + 2, 0),
    "effort": (303_179_776 + 2 * 1024 + 2, 0),  # without its adapters
    "sbi": (17_552_202, 125_200),
}
"""Parameters and running statistics."""

SMALL = {"backbone": "resnet18", "width": 0.125, "one_block": True}
FINE_TUNED = SMALL | {
    "method_classes": 3,
    "drop_path": 0.0,
    "input_dropout": 0.1,
    "dropout": (0.1,),
}
FROZEN = FINE_TUNED | {"base_train": False, "input_norm": True, "norm": "keras", "classes": 1,
           "method_classes": 0}  # fmt: skip
MASK = jnp.array([[True, True, True], [True, False, True], [False, False, True]])


@pytest.mark.parametrize("name", CONFIGS)
def test_counts_and_paths_of_every_config(name):
    """The paths of parameters are a public format, frozen by a list per config."""
    config = load_config(name)
    options = config.model.frame_classifier.to_dict()
    model = build("frame_classifier", lowering="native", **options)
    inputs = input_shapes("frame_classifier", config.preprocess.size, 1, 1, **options)
    variables = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), inputs)
    assert (count(variables["params"]), count(variables["batch_stats"])) == CONFIGS[name]
    lines = sorted(
        f"{'.'.join(key.key for key in path)} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    )
    golden = Path(__file__).parent / "golden" / f"{name}.txt"
    assert lines == golden.read_text().splitlines()


def make_step(options):
    """Returns a model, its variables, and its jitted step (gradients, outputs, statistics)."""
    model = build("frame_classifier", lowering="matmul", **options)
    shapes = input_shapes("frame_classifier", 32, *MASK.shape, **options)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    variables = jax.jit(model.init)(jax.random.key(0), zeros)

    @jax.jit
    def step(inputs):
        def loss(params):
            logits, outputs, stats = model.apply(
                variables | {"params": params},
                inputs,
                train=True,
                rngs={"dropout": jax.random.key(1)},
            )
            total = jnp.sum(logits**2) + sum(jnp.sum(o**2) for o in outputs.values())
            return total, (logits, outputs, stats)

        return jax.grad(loss, has_aux=True)(variables["params"])

    return model, variables, step


@pytest.fixture(scope="module")
def inputs():
    """Clips of three frames; the second lacks the middle one, the third the first two."""
    return {"rgb": jax.random.normal(jax.random.key(2), (3, 3, 32, 32, 3)), "mask": MASK}


@pytest.fixture(scope="module")
def fine_tuned():
    """The two-class head with a method head, in training."""
    return make_step(FINE_TUNED)


@pytest.fixture(scope="module")
def frozen():
    """The one-logit head on a base that runs as in evaluation."""
    return make_step(FROZEN)


@pytest.mark.parametrize("which", ["fine_tuned", pytest.param("frozen", marks=pytest.mark.slow)])
def test_a_frame_outside_the_mask_changes_nothing_in_training(which, inputs, request):
    _, _, step = request.getfixturevalue(which)
    changed = jnp.where(MASK[..., None, None, None], inputs["rgb"], jnp.nan)
    expected, actual = step(inputs), step(inputs | {"rgb": changed})
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.parametrize("which", ["fine_tuned", "frozen"])
def test_every_parameter_gets_a_gradient(which, inputs, request):
    gradients, _ = request.getfixturevalue(which)[2](inputs)
    still = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradients)
        if not np.any(np.asarray(leaf))
    ]
    assert not still


def test_a_clip_is_the_mean_of_its_valid_frames(fine_tuned, inputs):
    _, (logits, outputs, _) = fine_tuned[2](inputs)
    mask = np.asarray(MASK)
    frames = np.asarray(outputs["frame_logits"])
    assert frames.shape == (3, 3) and not frames[~mask].any()
    expected = [frames[i, mask[i]].mean() for i in range(3)]
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    pair = outputs["class_logits"]
    np.testing.assert_allclose(logits, pair[:, 1] - pair[:, 0], rtol=1e-5, atol=1e-6)
    assert outputs["method_logits"].shape == (3, 3)
    assert outputs["features"].shape == (3, 64)
    assert logits.dtype == outputs["features"].dtype == jnp.float32


def test_a_base_in_evaluation_keeps_its_statistics_and_the_head_moves_its_own(
    fine_tuned, frozen, inputs
):
    for (_, variables, step), base_moves in ((fine_tuned, True), (frozen, False)):
        _, (_, _, stats) = step(inputs)
        moved = jax.tree.map(
            lambda new, old: bool((new != old).any()), stats, variables["batch_stats"]
        )
        assert set(jax.tree.leaves(moved.pop("backbone"))) == {base_moves}
        assert moved and all(jax.tree.leaves(moved))


def test_a_base_in_evaluation_is_the_same_function_as_in_evaluation(frozen, inputs):
    model, variables, step = frozen
    evaluate = jax.jit(lambda v, x: model.apply(v, x, train=False, rngs=None)[1]["features"])
    _, (_, outputs, _) = step(inputs)
    np.testing.assert_allclose(outputs["features"], evaluate(variables, inputs), atol=1e-6)


def test_bfloat16_gives_float32_logits_near_those_of_float32(frozen, inputs):
    model, variables, _ = frozen
    coarse = build("frame_classifier", lowering="matmul", dtype=jnp.bfloat16, **FROZEN)
    fine, rough = (
        jax.jit(lambda v, x, m=m: m.apply(v, x, train=False, rngs=None)[0])(variables, inputs)
        for m in (model, coarse)
    )
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, fine, rtol=0, atol=3e-2)  # 8 bits, some ten layers


def test_a_mask_head_is_one_more_layer_on_the_last_map():
    options = FINE_TUNED | {"backbone": f"{__name__}:OneConv", "method_classes": 0}
    model, variables, step = make_step(options | {"mask_head": True})
    inputs = {"rgb": jax.random.normal(jax.random.key(2), (3, 3, 32, 32, 3)), "mask": MASK}
    gradients, (_, outputs, _) = step(inputs)
    assert outputs["mask_logits"].shape == (3, 3, 4, 4)
    assert np.asarray(gradients["mask_logits"]["kernel"]).any()
    _, plain, _ = make_step(options)[0].apply(variables, inputs, train=False, rngs=None)
    _, more, _ = model.apply(variables, inputs, train=False, rngs=None)
    assert more.keys() - plain.keys() == {"mask_logits"}
    np.testing.assert_array_equal(more["class_logits"], plain["class_logits"])


STREAMS = FINE_TUNED | {"streams": ("rgb", "srm", "phase")}


class OneConv(nn.Module):
    """A backbone of one convolution, which compiles fast."""

    @nn.compact
    def __call__(self, images, mask, *, train):
        return nn.tanh(nn.Conv(8, (3, 3), (8, 8), name="conv")(images))


def test_streams_are_channels_of_the_first_kernel_and_nothing_else():
    before, after = (
        jax.eval_shape(
            build("frame_classifier", lowering="native", **options).init,
            jax.random.key(0),
            input_shapes("frame_classifier", 32, 1, 1, **options),
        )
        for options in (FINE_TUNED, STREAMS)
    )
    paths = jax.tree_util.tree_leaves_with_path(before)
    changed = {
        jax.tree_util.keystr(path, simple=True, separator="/"): (old.shape, new.shape)
        for (path, old), new in zip(paths, jax.tree.leaves(after), strict=True)
        if old.shape != new.shape
    }
    assert changed == {"params/backbone/stem_conv/kernel": ((7, 7, 3, 8), (7, 7, 7, 8))}


def test_every_stream_reaches_the_logits_and_masked_frames_of_it_do_not():
    _, _, step = make_step(STREAMS | {"backbone": f"{__name__}:OneConv", "method_classes": 0})
    shapes = input_shapes("frame_classifier", 32, *MASK.shape, **STREAMS)
    assert (shapes["srm"].shape[-1], shapes["phase"].shape[-1]) == (3, 1)
    inputs = {name: jax.random.normal(jax.random.key(n), shapes[name].shape)
              for n, name in enumerate(STREAMS["streams"])} | {"mask": MASK}  # fmt: skip
    gradients, (logits, _, _) = step(inputs)
    kernel = np.asarray(gradients["backbone"]["conv"]["kernel"])
    assert np.abs(kernel).max(axis=(0, 1, 3)).all()
    for name in ("srm", "phase"):
        hidden = jnp.where(MASK[..., None, None, None], inputs[name], jnp.nan)
        same = step(inputs | {name: hidden})
        np.testing.assert_array_equal(same[1][0], logits)
        _, (other, _, _) = step(inputs | {name: inputs[name] + 1})
        assert np.abs(np.asarray(other - logits)).min() > 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet19"}, "unknown backbone 'resnet19'"),
        ({"backbone": "resnet18", "padding": "static"}, "does not support padding 'static'"),
        ({"norm": "kears"}, "Did you mean 'keras'"),
        ({"classes": 3}, "classes must be 1"),
        ({"dropout": ()}, "1 hidden layers but 0 dropout rates"),
        ({"method_classes": 1}, "includes the class real"),
        ({"streams": ("rgb", "sram")}, "unknown stream 'sram'.*Did you mean 'srm'"),
        ({"backbone": "clip_t8", "mask_head": True}, "the last one of clip_t8 is its class token"),
        ({"streams": ("srm",)}, "streams must be rgb and after it any of srm, phase"),
        ({"streams": ("rgb", "phase", "srm")}, "in this order"),
        ({"streams": ("rgb", "rgb")}, "each once"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(UsageError, match=message):
        build("frame_classifier", **options)
