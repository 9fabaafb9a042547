import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models.feature_maps import make_feature_maps
from dfjax.models.layers import Compute
from dfjax.models.vgg import VGG16

CLIPS = jnp.tanh(jax.random.normal(jax.random.key(0), (1, 2, 32, 32, 3)))


def shapes(backbone):
    maps = make_feature_maps(backbone, compute=Compute())
    variables = jax.eval_shape(maps.init, jax.random.key(0), CLIPS)
    found = jax.eval_shape(maps.features, variables, CLIPS)
    return [leaf.shape[2:] for leaf in found]


def test_four_maps_of_falling_size():
    assert shapes("vgg16") == [(32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)]
    assert [shape[0] for shape in shapes("lite0")] == [16, 8, 4, 2]


def test_those_of_vgg16_are_before_pooling_and_of_normalised_images():
    maps = make_feature_maps(
        "vgg16", width=0.125, mean=(0.5,) * 3, std=(0.25,) * 3, compute=Compute()
    )
    variables = jax.jit(maps.init)(jax.random.key(0), CLIPS)
    found = jax.jit(maps.features)(variables, CLIPS)
    pooled = jax.jit(
        lambda v, x: VGG16(width=0.125).apply({"params": v["params"]}, x, train=False)
    )(variables, (2 * CLIPS)[0])
    for number, full in enumerate(found, 1):
        _, frames, height, width, channels = full.shape
        cells = full.reshape(frames, height // 2, 2, width // 2, 2, channels)
        np.testing.assert_allclose(cells.max((2, 4)), pooled[f"stage{number}"], atol=1e-5)
        assert full.min() >= 0
