import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.models.efficientnet import EfficientNet, feature_channels, scaled_channels
from dfjax.models.summary import count


def shapes(size, variant="b0", **options):
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    network = EfficientNet(variant, **options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    maps, variables = jax.eval_shape(
        lambda k, x: network.init_with_output(k, x, train=False), key, image
    )
    return variables, {name: value.shape[1:] for name, value in maps.items()}


# Published sizes without the classifier: Keras' trainable weights of each base.
@pytest.mark.parametrize(
    "variant,params",
    [("b0", 4_007_548), ("b1", 6_513_184), ("b2", 7_700_994), ("b3", 10_696_232),
     ("b4", 17_548_616), ("b5", 28_340_784), ("b6", 40_735_704), ("b7", 63_786_960)],
)  # fmt: skip
def test_parameters_of_every_variant(variant, params):
    variables, _ = shapes(64, variant)
    assert count(variables["params"]) == params


# Totals of efficientnet_lite_pytorch without its classifier; Lite0 is the published weights.
@pytest.mark.parametrize(
    "variant,params,statistics",
    [("lite0", 3_371_008, 42_016), ("lite1", 4_135_680, 53_664), ("lite2", 4_811_072, 58_096)],
)
def test_parameters_of_lite(variant, params, statistics):
    variables, maps = shapes(64, variant)
    assert count(variables["params"]) == params
    assert count(variables["batch_stats"]) == statistics
    assert maps["stem"] == (32, 32, 32) and maps["top"] == (2, 2, feature_channels(variant))
    assert feature_channels(variant) == 1280
    assert not any("se" in block for block in variables["params"].values())


def test_endpoints_of_b4():
    _, maps = shapes(224, "b4")
    assert set(maps) == {"stem", *(f"stage{n}" for n in range(1, 8)), "top"}
    assert maps["stem"] == (112, 112, 48)
    assert maps["stage3"] == (28, 28, 56)
    assert maps["top"] == (7, 7, feature_channels("b4")) == (7, 7, 1792)


def test_endpoints_of_v2s():
    variables, maps = shapes(224, "v2s")
    assert set(maps) == {"stem", *(f"stage{n}" for n in range(1, 7)), "top"}
    assert maps["stage3"] == (28, 28, 64)
    assert maps["top"] == (7, 7, 1280)
    fused = variables["params"]["stage2_block1"]
    assert set(fused) == {"expand_conv", "expand_bn", "project_conv", "project_bn"}
    assert fused["expand_conv"]["kernel"].shape == (3, 3, 24, 96)
    assert set(variables["params"]["stage1_block1"]) == {"project_conv", "project_bn"}
    assert "se" in variables["params"]["stage4_block1"]


@pytest.mark.parametrize(
    "variant,size,padding,side",
    [
        ("b0", 112, "same", 4),
        ("b0", 112, "static", 3),
        ("b4", 256, "static", 8),
        ("b4", 256, "dfb_stem_valid", 8),
        ("b4", 224, "dfb_stem_valid", 7),
        ("b0", 224, "symmetric", 7),
    ],
)
def test_map_sizes_of_the_padding_flavours(variant, size, padding, side):
    _, maps = shapes(size, variant, padding=padding)
    assert maps["top"][:2] == (side, side)


def test_the_unpadded_stem_loses_a_pixel():
    _, maps = shapes(256, "b4", padding="dfb_stem_valid")
    assert maps["stem"][0] == 127
    assert maps["stage2"][0] == 63


def test_channels_round_to_eights_but_never_far_down():
    assert scaled_channels(32, 1.4) == 48  # 44.8
    assert scaled_channels(16, 0.25) == 8
    assert scaled_channels(24, 1.4) == 32  # 33.6 rounds down to 32, within 10 %


def test_one_block_keeps_one_block_a_stage():
    blocks = EfficientNet("b4", one_block=True).blocks()
    assert [block.number for block in blocks] == list(range(1, 8))
    assert [block.position for block in blocks] == [1] * 7


def test_drop_path_grows_linearly_from_zero():
    rates = [block.drop_path for block in EfficientNet("b0", drop_path=0.2).blocks()]
    np.testing.assert_allclose(rates, 0.2 * np.arange(16) / 16)


def test_unknown_variant():
    with pytest.raises(UsageError, match="b7"):
        feature_channels("b9")
