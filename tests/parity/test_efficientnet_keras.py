"""EfficientNet against Keras' own, on random weights and statistics: logits to 1e-4."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.efficientnet import EfficientNet
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve

os.environ["KERAS_BACKEND"] = "jax"
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("compiled_quickly")]

# Keras' name, and the factor and offset that its rescaling of the pixels undoes.
KINDS = {
    "b0": ("EfficientNetB0", 255, 0),
    "b1": ("EfficientNetB1", 255, 0),
    "b2": ("EfficientNetB2", 255, 0),
    "b3": ("EfficientNetB3", 255, 0),
    "b4": ("EfficientNetB4", 255, 0),
    "v2s": ("EfficientNetV2S", 128, 128),
}


def make_model(name, size):
    """Returns a Keras model, the weights of its classifier, and images."""
    import keras
    from keras_networks import randomise

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, KINDS[name][0])(
        weights=None, input_shape=(size, size, 3), classes=4, classifier_activation=None
    )
    randomise(model, seed=size, last=["project_bn"])
    head = [np.asarray(weight) for weight in model.get_layer("predictions").weights]
    return model, head, jax.random.uniform(jax.random.key(size), (2, size, size, 3))


@pytest.mark.parametrize(
    "name,size",
    [
        ("b0", 112),
        ("b0", 131),
        ("b0", 224),
        ("b0", 256),
        ("b0", 380),
        ("b1", 112),
        ("b2", 112),
        ("b3", 112),
        ("b4", 224),
        ("b4", 380),
        ("v2s", 131),
    ],
)
def test_equals_keras(name, size):
    from keras_networks import assert_same_statistics, keras_outputs, our_maps, our_variables

    model, (kernel, bias), images = make_model(name, size)
    variables = our_variables(model, name)
    _, factor, offset = KINDS[name]
    network = EfficientNet(name, drop_path=0.0, compute=Compute(lowering=resolve("auto")))
    ours, stats = our_maps(network, variables, images)
    theirs = keras_outputs(model, factor * images + offset)
    assert np.std(theirs[0]) > 1e-2  # the comparison is of something
    for maps, expected in zip(ours, theirs, strict=True):
        logits = jnp.mean(maps, axis=(1, 2)) @ kernel + bias
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    assert_same_statistics(stats, model, name)


def test_keras_loads_our_export(tmp_path):
    """The layers of the file are in the order in which Keras 3 assigns weights of `.h5` files."""
    import keras
    from keras_networks import our_variables

    import dfjax
    from dfjax.weights.registry import ORIGINS

    for name, kind in (
        ("b0", "EfficientNetB0"),
        ("resnet50", "ResNet50"),
        ("xception", "Xception"),
    ):
        network = ORIGINS["keras"].networks[name]
        ours = network.renamed or name
        make = getattr(keras.applications, kind)
        variables = our_variables(make(weights=None, include_top=False), ours)
        convention = network.conventions[next(iter(network.conventions))]
        path = tmp_path / f"{name}.h5"
        dfjax.weights.save(path, variables, "keras", ours, convention)
        model = make(weights=None, include_top=False)
        model.load_weights(path)
        loaded = our_variables(model, ours)
        jax.tree.map(np.testing.assert_array_equal, loaded, variables)
