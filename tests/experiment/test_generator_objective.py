"""The fixed networks of a generator's loss are read from files, or named as random in the log."""

import jax
import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment.generator_objective import make_generator_objective
from dfjax.losses.generator import Restored
from dfjax.models import build, input_shapes
from dfjax.models.feature_maps import make_feature_maps
from dfjax.models.layers import Compute
from dfjax.weights.safetensors_file import save_safetensors

SIZE = 32
FEW = {"preprocess.size": SIZE, "data.frames": 1, "data.flow": False,
       "loss.flow_consistency.weight": 0.0}  # fmt: skip


def make(**changes):
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    return make_generator_objective(load_config("defake:smoke", FEW | settings))


def zeros(shapes):
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


@pytest.fixture(scope="module")
def meso4(tmp_path_factory):
    """A weights file of a small detector with random parameters."""
    config = load_config("meso4:smoke")
    model = build("meso4", **config.model.meso4.to_dict())
    inputs = input_shapes("meso4", config.preprocess.size, 1, 1)
    variables = jax.jit(model.init)(jax.random.key(0), zeros(inputs))
    path = tmp_path_factory.mktemp("critic") / "meso4.safetensors"
    save_safetensors(path, variables, metadata={"config": config.to_dict(), "checkpoint": "best/1"})
    return path, config, model, variables


def test_published_weights_are_the_factors():
    found = make(data__frames=2, data__flow=True, loss__flow_consistency__weight=2.0)
    factors = {"restoration": 10, "perceptual_random": 1, "adversarial": 1, "flow_consistency": 2}
    assert found.loss.factors == factors and found.loss.terms.keys() == factors.keys()
    assert found.frozen.keys() == {"perceptual_random"}
    random, critic = found.notes
    assert "fixed random features (vgg16), since loss.perceptual.file names no" in random
    assert critic.startswith("loss.critic is off")


def test_a_term_of_weight_0_is_left_out():
    found = make(loss__perceptual__weight=0.0, loss__critic__weight=0.0)
    assert found.loss.factors.keys() == {"restoration", "adversarial"}
    assert not found.frozen and not found.notes


def test_imported_features_are_called_so(tmp_path):
    maps = make_feature_maps("lite0", compute=Compute())
    clips = jax.ShapeDtypeStruct((1, 1, SIZE, SIZE, 3), np.float32)
    file = tmp_path / "lite0.safetensors"
    variables = zeros(jax.eval_shape(maps.init, jax.random.key(0), clips))
    save_safetensors(file, variables, metadata={"model": "lite0"})
    found = make(loss__perceptual__backbone="lite0", loss__perceptual__file=str(file))
    assert found.loss.factors["perceptual"] == 1 and str(file) in found.notes[0]
    with pytest.raises(UsageError, match="has the parameters of lite0, not of resnet18"):
        make(loss__perceptual__file=str(file), loss__perceptual__backbone="resnet18")


def test_a_critic_scores_restored_clips_as_it_scores_pixels(meso4):
    path, config, model, variables = meso4
    found = make(loss__critic__detector=str(path), loss__perceptual__weight=0.0)
    assert f"loss.critic is the detector {path} (meso4, best/1)" in found.notes
    clips = np.random.default_rng(0).integers(0, 256, (2, 1, SIZE, SIZE, 3), np.uint8)
    batch = {"clip": clips, "mask": np.ones((2, 1), bool)}
    preprocess = builders.make_config_preprocess(config)

    @jax.jit
    def both(batch, variables, frozen):
        inputs = preprocess(batch, None, train=False)
        logits = model.apply(variables, inputs, train=False, rngs=None)[0]
        values = batch["clip"].astype(np.float32) / 127.5 - 1
        patches = jax.numpy.zeros((2, 1, 1, 1))
        restored = Restored(values, patches, {"mask": batch["mask"]}, frozen)
        return jax.nn.softplus(logits), found.loss.terms["critic"](restored)

    expected, value = both(batch, variables, found.frozen)
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_a_generator_is_no_critic(tmp_path):
    config = load_config("defake:smoke")
    file = tmp_path / "generator.safetensors"
    save_safetensors(file, {"params": {}, "batch_stats": {}}, metadata={"config": config.to_dict()})
    with pytest.raises(UsageError, match="is a generator, not a detector"):
        make(loss__critic__detector=str(file))
