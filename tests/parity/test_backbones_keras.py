"""Xception, ResNet50 and VGG16 against Keras' own, on random weights: feature maps to 1e-4."""

import os

import jax
import numpy as np
import pytest

from dfjax.models.backbones import make_backbone
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve

os.environ["KERAS_BACKEND"] = "jax"
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("compiled_quickly")]


@pytest.mark.parametrize(
    "name,kind,size,last",
    [
        ("xception", "Xception", 131, ()),  # pools an odd map, then even ones
        ("resnet50_v1", "ResNet50", 97, ("_3_bn",)),
        ("vgg16", "VGG16", 64, ()),
    ],
)
def test_equals_keras(name, kind, size, last):
    import keras
    from keras_networks import (
        assert_same_statistics,
        keras_outputs,
        our_maps,
        our_variables,
        randomise,
    )

    keras.utils.set_random_seed(size)
    model = getattr(keras.applications, kind)(
        weights=None, include_top=False, input_shape=(size, size, 3)
    )
    randomise(model, seed=size, last=last)
    variables = our_variables(model, name)
    images = jax.random.normal(jax.random.key(size), (4, size, size, 3))
    network = make_backbone(name, compute=Compute(lowering=resolve("auto")))
    ours, stats = our_maps(network, variables, images)
    swapped = images if name == "xception" else images[..., ::-1]  # the others read BGR
    for maps, expected in zip(ours, keras_outputs(model, swapped), strict=True):
        assert np.std(expected) > 1e-2  # the comparison is of something
        np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4)
    if stats:
        assert_same_statistics(stats, model, name)
