"""Xception against Keras' own, on random weights and statistics: feature maps to 1e-4."""

import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.layers import Compute
from dfjax.models.xception import Xception
from dfjax.ops.lowering import resolve

os.environ["KERAS_BACKEND"] = "jax"
pytestmark = pytest.mark.parity

BN_NAMES = {
    "gamma": "scale",
    "beta": "bias",
    "moving_mean": "mean",
    "moving_variance": "var",
}
ENTRIES = (2, 3, 4, 13)  # Keras' numbers of the blocks that begin our stages


def our_block(number):
    """Our name of the block that Keras gives this number."""
    stage = sum(number >= entry for entry in ENTRIES)
    return f"stage{stage}_block{number - ENTRIES[stage - 1] + 1}"


def our_path(layer, shortcuts):
    """Where a Keras layer's weights live; `shortcuts` are its unnamed layers, in order."""
    if layer in shortcuts:
        part = "shortcut_conv" if layer.startswith("conv2d") else "shortcut_bn"
        return our_block(ENTRIES[shortcuts.index(layer) // 2]), part
    block, kind, number, norm = re.fullmatch(r"block(\d+)_(conv|sepconv)(\d)(_bn)?", layer).groups()
    if block in ("1", "14"):
        where = "stem" if block == "1" else "top"
        return (f"{where}_bn{number}" if norm else f"{where}_{kind}{number}",)
    return our_block(int(block)), f"bn{number}" if norm else f"sepconv{number}"


def our_variables(keras_model):
    variables = {"params": {}, "batch_stats": {}}
    weighted = [layer for layer in keras_model.layers if layer.weights]
    shortcuts = [layer.name for layer in weighted if not layer.name.startswith("block")]
    shortcuts.sort(key=lambda name: int((re.findall(r"_(\d+)$", name) or [0])[0]))  # as made
    convs = [name for name in shortcuts if name.startswith("conv2d")]
    norms = [name for name in shortcuts if name.startswith("batch")]
    shortcuts = [name for pair in zip(convs, norms, strict=True) for name in pair]
    for layer in weighted:
        for weight in layer.weights:
            name = BN_NAMES.get(weight.name, weight.name)
            node = variables["batch_stats" if name in ("mean", "var") else "params"]
            path = list(our_path(layer.name, shortcuts))
            value = np.asarray(weight)
            if name in ("depthwise_kernel", "pointwise_kernel"):
                path.append(name.removesuffix("_kernel"))
                name = "kernel"
                if path[-1] == "depthwise":
                    value = value.transpose(0, 1, 3, 2)  # [k, k, C, 1] -> [k, k, 1, C]
            for key in path:
                node = node.setdefault(key, {})
            node[name] = jnp.asarray(value)
    return variables


def randomise(keras_model, seed):
    """Draws what batch normalisation has, so that no scale is 1 and no running mean 0."""
    rng = np.random.default_rng(seed)
    for variable in keras_model.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.7, 1.3, variable.shape))
        elif variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.1, variable.shape))


def keras_maps(model, images):
    """Maps in both modes; the statistics that a training step leaves are put into the model."""

    @jax.jit
    def run(trainable, rest, images):
        evaluated, _ = model.stateless_call(trainable, rest, images, training=False)
        trained, new = model.stateless_call(trainable, rest, images, training=True)
        return evaluated, trained, new

    trainable = [v.value for v in model.trainable_variables]
    rest = [v.value for v in model.non_trainable_variables]
    evaluated, trained, new = run(trainable, rest, images)
    for variable, value in zip(model.non_trainable_variables, new, strict=True):
        variable.assign(value)
    return evaluated, trained


def test_equals_keras():
    import keras

    size = 131  # pools an odd map, then even ones

    keras.utils.set_random_seed(size)
    model = keras.applications.Xception(
        weights=None, include_top=False, input_shape=(size, size, 3)
    )
    randomise(model, seed=size)
    variables = our_variables(model)
    network = Xception(compute=Compute(lowering=resolve("auto")))
    images = jax.random.normal(jax.random.key(size), (4, size, size, 3))

    @jax.jit
    def run(variables, images):
        evaluated = network.apply(variables, images, train=False)["top"]
        trained, new = network.apply(variables, images, train=True, mutable=["batch_stats"])
        return evaluated, trained["top"], new["batch_stats"]

    evaluated, trained, stats = run(variables, images)
    for actual, expected in zip((evaluated, trained), keras_maps(model, images)):
        assert np.std(expected) > 1e-2  # the comparison is of something
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
    updated = our_variables(model)["batch_stats"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), stats, updated
    )
