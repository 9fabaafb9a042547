"""Tests the endpoints and channels of every backbone, and that masked images have no effect."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dfjax.errors import UsageError
from dfjax.models.backbones import BACKBONES, backbone_channels, make_backbone
from dfjax.models.bn_constants import format_bn, parse_bn
from dfjax.models.efficientnet import EfficientNet
from dfjax.models.initializers import one_draw
from dfjax.models.layers import TF_BN, TORCH_BN, BatchNorm, BNConstants, Compute, DropPath
from dfjax.models.summary import count
from dfjax.ops.lowering import NATIVE, Lowering


def shapes(network, size=32):
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    maps, variables = jax.eval_shape(
        lambda k, x: network.init_with_output(k, x, train=False), key, image
    )
    return variables, maps


@pytest.mark.parametrize("name", BACKBONES)
def test_endpoints_and_channels(name):
    compute = Compute(jnp.bfloat16)
    network = make_backbone(name, width=0.25, one_block=True, compute=compute)
    patch = BACKBONES[name].patch
    _, maps = shapes(network, 2 * patch if patch > 1 else 32)
    stages = len(maps) - 2
    assert {"stem", "top", *(f"stage{n}" for n in range(1, stages + 1))} == set(maps)
    assert maps["top"].shape[-1] == backbone_channels(name, 0.25)
    assert all(m.dtype == jnp.bfloat16 for m in maps.values())


def test_published_channels():
    wide = ("b4", "v2s", "xception", "resnet18", "resnet34", "resnet50")
    assert [backbone_channels(name) for name in wide] == [1792, 1280, 2048, 512, 512, 2048]


def test_b0_is_the_efficientnet_with_its_paths():
    ours, _ = shapes(make_backbone("b0", one_block=True, compute=Compute()))
    assert ours == shapes(EfficientNet("b0", one_block=True))[0]


def test_the_module_takes_its_name():
    network = make_backbone("b0", compute=Compute(), module_name="hq_backbone")
    assert network.name == "hq_backbone"


@pytest.mark.parametrize("name", ["b0", "v2s", "xception", "resnet18"])
def test_auto_padding_is_the_published_one(name):
    network = make_backbone(name, compute=Compute())
    assert network.padding == ("symmetric" if name == "resnet18" else "same")
    assert make_backbone(name, padding="symmetric", compute=Compute()).padding == "symmetric"


def test_wrong_names_and_paddings():
    with pytest.raises(UsageError, match="resnet18"):
        backbone_channels("resnet19")
    with pytest.raises(
        UsageError, match="resnet18 does not support padding 'static'; valid: auto, symm"
    ):
        make_backbone("resnet18", padding="static", compute=Compute())


def constants_used(network):
    found = set()

    def note(call, args, kwargs, context):
        if isinstance(context.module, BatchNorm):
            found.add(context.module.constants)
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        shapes(network)
    return found


@pytest.mark.parametrize("name", ["b0", "v2s", "xception", "resnet18"])
def test_every_normalisation_has_the_chosen_constants(name):
    small = {"width": 0.25, "one_block": True, "compute": Compute()}
    chosen = make_backbone(name, bn="0.01,0.75,unbiased", **small)
    assert constants_used(chosen) == {BNConstants(0.01, 0.75, unbiased=True)}
    published = {"b0": TF_BN, "xception": TF_BN, "resnet18": TORCH_BN}
    (own,) = constants_used(make_backbone(name, **small))
    assert own == published.get(name, BNConstants(1e-3, 0.9, unbiased=False))


def test_texts_of_constants():
    assert parse_bn("auto") is None
    assert parse_bn("tf") == TF_BN and parse_bn("torch") == TORCH_BN
    odd = BNConstants(1.001e-5, 0.99, unbiased=False)
    assert parse_bn(format_bn(odd)) == odd
    for wrong in ("keras", "0.001,0.99", "0.001,0.99,yes", "0,0.99,biased", "0.001,1,biased"):
        with pytest.raises(UsageError, match="EPSILON,MOMENTUM"):
            parse_bn(wrong)
    with pytest.raises(UsageError, match="vgg16 has no batch normalisation"):
        make_backbone("vgg16", bn="torch", compute=Compute())


def test_the_convolutions_of_vgg16():
    variables, maps = shapes(make_backbone("vgg16", compute=Compute()), 64)
    assert count(variables["params"]) == 14_714_688  # Keras' own total without a classifier
    assert set(variables) == {"params"} and len(variables["params"]) == 13
    sides = {name: maps[name].shape[1] for name in maps}
    assert sides == {"stem": 64, "stage1": 32, "stage2": 16, "stage3": 8, "stage4": 4, "stage5": 2,
                     "top": 2}  # fmt: skip


@pytest.mark.parametrize("name,skips", [("resnet18", 8), ("xception", 12), ("v2s", 35)])
def test_drop_path_grows_linearly(name, skips):
    rates = {}

    def note(call, args, kwargs, context):
        if isinstance(context.module, DropPath):
            rates[context.module.path[0]] = context.module.rate
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        shapes(make_backbone(name, drop_path=0.2, compute=Compute()))
    rates = list(rates.values())
    assert len(rates) == skips
    steps = np.diff(rates) / 0.2
    blocks = 40 if name == "v2s" else skips  # a block without a skip has nothing to drop
    np.testing.assert_allclose(steps * blocks, np.round(steps * blocks), atol=1e-9)
    assert (steps > 0).all() and rates[-1] == pytest.approx(0.2 * (blocks - 1) / blocks)


@functools.cache
def trained(name, lowering, seed):
    """Results of one tiny training step; `seed` draws the image that the mask leaves out."""
    compute = Compute(lowering=lowering)
    network = make_backbone(name, width=0.125, one_block=True, compute=compute)
    mask = jnp.array([True, True, False, True])
    images = jax.random.normal(jax.random.key(0), (4, 64, 64, 3))
    images = images.at[2].set(jax.random.normal(jax.random.key(seed), (64, 64, 3)))
    variables = initialised(network, images)
    return step_of(network)(variables["params"], variables["batch_stats"], images, mask)


def initialised(network, images):
    init = functools.partial(one_draw, functools.partial(network.init, train=False))
    return jax.jit(init)(jax.random.key(2), images)


@functools.cache
def step_of(network):
    def loss(params, stats, images, mask):
        variables = {"params": params, "batch_stats": stats}
        maps, new = network.apply(variables, images, mask, train=True, mutable=["batch_stats"])
        top = maps["top"] * mask[:, None, None, None]
        return jnp.sum(top * jax.random.normal(jax.random.key(1), top.shape)), (top, new)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) for n in ("resnet50", "xception", "v2s")]
)
def test_a_masked_image_changes_nothing_and_every_parameter_learns(name):
    results = trained(name, NATIVE, seed=5)
    jax.tree.map(np.testing.assert_array_equal, results, trained(name, NATIVE, seed=6))
    for path, grad in jax.tree_util.tree_leaves_with_path(results[1]):
        assert np.abs(grad).max() > 0, path


@pytest.mark.slow
def test_lowerings_agree_on_a_whole_network():
    lowering = Lowering(matmul=True, batch_scan=True)
    for actual, expected in zip(
        jax.tree.leaves(trained("resnet50", lowering, seed=5)),
        jax.tree.leaves(trained("resnet50", NATIVE, seed=5)),
        strict=True,
    ):
        peak = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * peak)


# Keras' and torchvision's own totals without a classifier: trainable weights, running statistics.
@pytest.mark.parametrize(
    "name,params,statistics",
    [("v2s", 20_177_488, 153_872), ("xception", 20_806_952, 54_528),
     ("resnet18", 11_176_512, 9_600), ("resnet34", 21_284_672, 17_024),
     ("resnet50", 23_508_032, 53_120)],
)  # fmt: skip
def test_parameters(name, params, statistics):
    variables, _ = shapes(make_backbone(name, compute=Compute()))
    assert count(variables["params"]) == params
    assert count(variables["batch_stats"]) == statistics
