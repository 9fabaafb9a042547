"""Meso4 against Keras' layers, imported from the files that Keras writes: both modes."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models import build
from dfjax.models.bn_constants import format_bn
from dfjax.weights.loading import load
from dfjax.weights.target import detector_target

os.environ["KERAS_BACKEND"] = "jax"
pytestmark = pytest.mark.parity

SIDE = 64


def make_meso4():
    """Returns the published architecture without dropout; its output is the logit of real."""
    import keras
    from keras import layers

    stages = []
    for width, kernel, pool in ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)):
        stages += [
            layers.Conv2D(width, kernel, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(pool, padding="same"),
        ]
    end = [layers.Flatten(), layers.Dense(16), layers.LeakyReLU(0.1), layers.Dense(1)]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *stages, *end])


def load_all(model, folder):
    """Returns the weights in the files that Keras writes, one of each kind."""
    target, loaded = detector_target("meso4", {}, size=SIDE), []
    for file in ("w.h5", "w.weights.h5", "w.keras"):
        write = model.save_weights if file.endswith(".weights.h5") else model.save
        write(folder / file)
        loaded.append(load(folder / file, "keras", target))
    for other in loaded[1:]:
        jax.tree.map(np.testing.assert_array_equal, other.variables, loaded[0].variables)
    return loaded[0]


def test_equals_keras(tmp_path):
    import keras
    from keras_networks import keras_outputs, randomise

    keras.utils.set_random_seed(0)
    model = make_meso4()
    randomise(model, seed=0)
    weights = load_all(model, tmp_path)
    bn = format_bn(weights.convention.bn)
    fns = build("meso4", dropout=(0.0, 0.0), bn=bn)
    images = jax.random.uniform(jax.random.key(0), (4, 1, SIDE, SIDE, 3))
    inputs = {"rgb": images, "mask": jnp.ones((4, 1), bool)}

    @jax.jit
    def run(variables):
        evaluated, *_ = fns.apply(variables, inputs, train=False, rngs=None)
        trained, _, stats = fns.apply(variables, inputs, train=True, rngs=None)
        return (evaluated, trained), stats

    ours, stats = run(weights.variables)
    for logits, real in zip(ours, keras_outputs(model, images[:, 0]), strict=True):
        assert np.std(real) > 1e-2  # the comparison is of something
        np.testing.assert_allclose(logits, -np.asarray(real)[:, 0], rtol=0, atol=1e-4)
    after = load_all(model, tmp_path).variables["batch_stats"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), stats, after)
