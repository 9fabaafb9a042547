"""EfficientNet against Keras' own, on random weights and statistics: logits to 1e-4."""

import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.efficientnet import EfficientNet
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve

os.environ["KERAS_BACKEND"] = "jax"
pytestmark = pytest.mark.parity

# Keras' name, and the factor and offset that its rescaling of the pixels undoes.
KINDS = {
    "b0": ("EfficientNetB0", 255, 0),
    "b4": ("EfficientNetB4", 255, 0),
    "v2s": ("EfficientNetV2S", 128, 128),
}
BN_NAMES = {
    "gamma": "scale",
    "beta": "bias",
    "moving_mean": "mean",
    "moving_variance": "var",
}


def our_path(layer):
    """Where a Keras layer's weights live in our tree; stages are counted the same."""
    match = re.fullmatch(r"block(\d)([a-z])_(.+)", layer)
    if not match:
        return (layer,)
    stage, letter, part = match.groups()
    block = f"stage{stage}_block{ord(letter) - ord('a') + 1}"
    if part.startswith("se_"):
        return block, "se", part.removeprefix("se_")
    names = {"dwconv": "depthwise_conv", "dwconv2": "depthwise_conv", "bn": "depthwise_bn"}
    return block, names.get(part, part)


def randomise(keras_model, seed):
    """Draws every weight, so that no scale is 1 and no running mean 0."""
    rng = np.random.default_rng(seed)
    for variable in keras_model.weights:
        shape = variable.shape
        if variable.path.startswith("normalization"):
            continue
        if variable.name in ("gamma", "moving_variance"):
            # forty undamped residual branches reach 1e5, where a gate turns rounding into a jump
            damping = 0.3 if variable.path.endswith("project_bn/gamma") else 1.0
            variable.assign(damping * rng.uniform(0.7, 1.3, shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0, 0.1, shape))


def our_variables(keras_model):
    variables = {"params": {}, "batch_stats": {}}
    for layer in keras_model.layers:
        if layer.name == "normalization" or layer.name == "predictions":
            continue
        for weight in layer.weights:
            name = BN_NAMES.get(weight.name, weight.name)
            collection = "batch_stats" if name in ("mean", "var") else "params"
            node = variables[collection]
            for key in our_path(layer.name):
                node = node.setdefault(key, {})
            value = np.asarray(weight)
            if layer.__class__.__name__ == "DepthwiseConv2D":
                value = value.transpose(0, 1, 3, 2)  # [k, k, C, 1] -> [k, k, 1, C]
            node[name] = jnp.asarray(value)
    return variables


def keras_logits(model, images):
    """Logits in both modes, and the statistics that a training step leaves."""

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


def our_logits(name, variables, head, images):
    network = EfficientNet(name, drop_path=0.0, compute=Compute(lowering=resolve("auto")))

    @jax.jit
    def run(variables, images):
        evaluated = network.apply(variables, images, train=False)["top"]
        trained, new = network.apply(variables, images, train=True, mutable=["batch_stats"])
        return [
            jnp.mean(maps, axis=(1, 2)) @ head[0] + head[1] for maps in (evaluated, trained["top"])
        ], new["batch_stats"]

    return run(variables, images)


@pytest.mark.parametrize(
    "name,size",
    [
        ("b0", 112),
        ("b0", 131),
        ("b0", 224),
        ("b0", 256),
        ("b0", 380),
        ("b4", 224),
        ("b4", 380),
        ("v2s", 131),
    ],
)
def test_equals_keras(name, size):
    import keras

    keras.utils.set_random_seed(0)
    kind, factor, offset = KINDS[name]
    model = getattr(keras.applications, kind)(
        weights=None, input_shape=(size, size, 3), classes=4, classifier_activation=None
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # both kinds: of the classifier and of the residual branches
    randomise(model, seed=size)
    variables = our_variables(model)
    head = [np.asarray(w) for w in model.get_layer("predictions").weights]
    images = jax.random.uniform(jax.random.key(size), (2, size, size, 3))
    (evaluated, trained), stats = our_logits(name, variables, head, images)
    keras_evaluated, keras_trained = keras_logits(model, factor * images + offset)
    assert np.std(keras_evaluated) > 1e-2  # the comparison is of something
    np.testing.assert_allclose(evaluated, keras_evaluated, rtol=0, atol=1e-4)
    np.testing.assert_allclose(trained, keras_trained, rtol=0, atol=1e-4)
    updated = our_variables(model)["batch_stats"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), stats, updated
    )
