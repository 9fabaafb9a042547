"""Grad-CAM of vision transformers: the patch tokens that enter the last block are explained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dfjax.models import build, input_shapes
from dfjax.models.frame_features import build_backbone, join, put_under
from dfjax.models.saliency import compute_grad_cam, find_layers, make_saliency

SIZE, CLIPS, FRAMES = 64, 2, 3
VIT = {"backbone": "clip_t8"}
SMALL = {"conv_lstm": (8,), "classifier": (8,), "dropout": (0.0,)}
PATCHES = {"frames": (("backbone", "last_patches"), 8)}
TWO = {
    "hq": (("hq_backbone", "last_patches"), 8),
    "lq": (("lq_backbone", "last_patches"), 4),
}
MODELS = {
    "frame_classifier": (VIT, PATCHES),
    "clip_detector": (VIT | {"hidden": 8}, PATCHES),
    "two_stream": (
        VIT | SMALL | {"flow_channels": (8,)},
        {"frames": (("clip_t8", "last_patches"), 8)},
    ),
    "dual_stream": (
        SMALL | {"hq": "clip_t8", "lq": "clip_t8", "lq_size": 32, "projection": 16, "attention": 8},
        TWO,
    ),
}


def draw(shapes, key):
    """Inputs of these shapes, of which all frames are valid."""
    return {
        name: jnp.ones(spec.shape, bool) if name == "mask" else jax.random.normal(key, spec.shape)
        for name, spec in shapes.items()
    }


def make(name):
    options = MODELS[name][0]
    model = build(name, **options)
    inputs = draw(input_shapes(name, SIZE, CLIPS, FRAMES, **options), jax.random.key(0))
    return model, jax.jit(model.init)(jax.random.key(1), inputs), inputs


@pytest.mark.parametrize("name", MODELS)
def test_the_layer_of_every_model_is_the_map_of_patches(name):
    model, variables, inputs = make(name)
    layers = find_layers(model.apply, variables, inputs)
    found = {stream: (layer.path, layer.shape) for stream, layer in layers.items()}
    assert found == {
        stream: (path, (CLIPS * FRAMES, side, side, 96))
        for stream, (path, side) in MODELS[name][1].items()
    }

    @jax.jit
    def explain(variables, inputs):
        return [make_saliency(model.apply, layer)(variables, inputs) for layer in layers.values()]

    for saliency in explain(variables, inputs):
        assert saliency.logits.shape == (CLIPS,) and np.isfinite(saliency.logits).all()
        assert np.isfinite(saliency.maps).all()
        assert (saliency.maps.max((2, 3)) > 0).any(), "no gradient on any patch"


def test_the_map_is_that_of_the_tokens_after_the_last_block_but_one():
    model, variables, inputs = make("frame_classifier")
    path = ("backbone", "stage1_block2")

    def replace(tokens, kept):
        def intercept(next_call, args, kwargs, context):
            output = next_call(*args, **kwargs)
            if context.module.path != path:
                return output
            kept.append(output)
            return output if tokens is None else tokens

        with nn.intercept_methods(intercept):
            return model.apply(variables, inputs, train=False, rngs=None)[0].sum()

    @jax.jit
    def by_hand():
        kept = []
        replace(None, kept)
        gradient = jax.grad(lambda tokens: replace(tokens, []))(kept[0])
        return [x[:, 1:].reshape(-1, 8, 8, 96) for x in (kept[0], gradient)]

    (layer,) = find_layers(model.apply, variables, inputs).values()
    maps = jax.jit(make_saliency(model.apply, layer))(variables, inputs).maps
    expected = compute_grad_cam(*by_hand()).reshape(maps.shape)
    assert expected.max() > 0
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


def test_the_backbone_of_stored_features_is_explained_by_its_patches():
    head, backbone = build("clip_detector", features=96, hidden=8), build_backbone("clip_t8")
    clips = jax.ShapeDtypeStruct((CLIPS, FRAMES, SIZE, SIZE, 3), jnp.float32)
    mask = jax.ShapeDtypeStruct((CLIPS, FRAMES), jnp.bool_)
    stored = input_shapes("clip_detector", SIZE, CLIPS, FRAMES, features=96)

    def init(key):
        images = jnp.zeros((1, SIZE, SIZE, 3))
        return join(head.init(key, draw(stored, key)), backbone.init(key, images))

    variables = jax.eval_shape(init, jax.random.key(0))
    inputs = {"rgb": clips, "mask": mask}
    (layer,) = find_layers(put_under(head, backbone).apply, variables, inputs).values()
    assert (layer.path, layer.shape) == (("last_patches",), (CLIPS * FRAMES, 8, 8, 96))
