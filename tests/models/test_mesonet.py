from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.summary import count

MASK = jnp.array([[True, True], [True, False]])
COUNTS = {"meso4": (27_977, 96), "mesoinception4": (28_615, 110)}
"""Trainable parameters and running statistics, those of the published files."""


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_paths(name):
    config = load_config(name)
    model = build(name, lowering="native", **config.model[name].to_dict())
    inputs = input_shapes(name, config.preprocess.size, 1, 1)
    variables = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), inputs)
    assert (count(variables["params"]), count(variables["batch_stats"])) == COUNTS[name]
    lines = sorted(
        f"{'.'.join(key.key for key in path)} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    )
    golden = Path(__file__).parent / "golden" / f"{name}.txt"
    assert lines == golden.read_text().splitlines()


def make_step(name, lowering):
    model = build(name, lowering=lowering, classes=2)
    clip = jax.random.uniform(jax.random.key(1), (2, 2, 32, 32, 3))
    inputs = {"rgb": clip, "mask": MASK}
    variables = jax.jit(model.init)(jax.random.key(0), inputs)

    @jax.jit
    def step(inputs):
        def loss(params):
            rngs = {"dropout": jax.random.key(2)}
            both = variables | {"params": params}
            logits, outputs, stats = model.apply(both, inputs, train=True, rngs=rngs)
            return jnp.sum(logits**2), (logits, outputs, stats)

        return jax.grad(loss, has_aux=True)(variables["params"])

    return step, inputs


@pytest.fixture(scope="module")
def inception():
    return make_step("mesoinception4", "matmul")


def test_a_frame_outside_the_mask_changes_nothing_in_training(inception):
    step, inputs = inception
    changed = jnp.where(MASK[..., None, None, None], inputs["rgb"], jnp.nan)
    jax.tree.map(np.testing.assert_array_equal, step(inputs | {"rgb": changed}), step(inputs))


def test_every_parameter_gets_a_gradient(inception):
    step, inputs = inception
    for path, leaf in jax.tree_util.tree_leaves_with_path(step(inputs)[0]):
        assert np.abs(leaf).max() > 0, path


def test_a_clip_is_the_mean_of_its_valid_frames(inception):
    step, inputs = inception
    _, (logits, outputs, _) = step(inputs)
    frames = np.asarray(outputs["frame_logits"])
    assert frames[1, 1] == 0
    np.testing.assert_allclose(logits, [frames[0].mean(), frames[1, 0]], rtol=1e-5)
    pair = outputs["class_logits"]
    np.testing.assert_allclose(logits, pair[:, 1] - pair[:, 0], rtol=1e-4, atol=1e-6)
    assert outputs["features"].shape == (2, 16)


@pytest.mark.parametrize(
    "options,message",
    [({"classes": 3}, "classes must be"), ({"dropout": (0.5,)}, "two rates"),
     ({"bn": "caffe"}, "EPSILON,MOMENTUM")],
)  # fmt: skip
def test_invalid_options(options, message):
    with pytest.raises(UsageError, match=message):
        build("meso4", **options)


def test_the_side_must_be_a_multiple_of_the_poolings():
    model = build("meso4")
    with pytest.raises(UsageError, match="multiple of 32 px, not 40"):
        jax.eval_shape(model.init, jax.random.key(0), input_shapes("meso4", 40, 1, 1))
