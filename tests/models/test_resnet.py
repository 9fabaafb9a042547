import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from dfjax.errors import UsageError
from dfjax.models.resnet import ResNet, resnet_channels


def shapes(size, variant="resnet18", **options):
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    network = ResNet(variant, **options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda k, x: network.init(k, x, train=False), key, image)
    maps = jax.eval_shape(lambda v, x: network.apply(v, x, train=False), variables, image)
    return variables, {name: value.shape[1:] for name, value in maps.items()}


def test_endpoints_of_resnet50():
    _, maps = shapes(224, "resnet50")
    assert maps == {
        "stem": (112, 112, 64),
        "stage1": (56, 56, 256),
        "stage2": (28, 28, 512),
        "stage3": (14, 14, 1024),
        "stage4": (7, 7, 2048),
        "top": (7, 7, 2048),
    }


@pytest.mark.parametrize("size,sides", [(64, [32, 16, 8, 4, 2]), (65, [33, 17, 9, 5, 3])])
def test_odd_and_even_sides(size, sides):
    _, maps = shapes(size)
    assert [maps[name][0] for name in ("stem", *(f"stage{n}" for n in range(1, 5)))] == sides


def test_the_stride_is_in_the_3_x_3_convolution_and_only_a_change_has_a_shortcut():
    variables, _ = shapes(64, "resnet50")
    block = variables["params"]["stage2_block1"]
    assert block["conv1"]["kernel"].shape == (1, 1, 256, 128)
    assert block["conv2"]["kernel"].shape == (3, 3, 128, 128)
    assert block["conv3"]["kernel"].shape == (1, 1, 128, 512)
    assert block["shortcut_conv"]["kernel"].shape == (1, 1, 256, 512)
    assert "shortcut_conv" not in variables["params"]["stage2_block2"]
    assert "shortcut_conv" not in shapes(64)[0]["params"]["stage1_block1"]  # 64 to 64, stride 1


def test_the_stride_of_the_first_version_is_in_the_first_convolution():
    sizes = {}

    def note(call, args, kwargs, context):
        result = call(*args, **kwargs)
        if context.module.name in ("conv1", "conv2") and context.method_name == "__call__":
            sizes["/".join(context.module.path)] = result.shape[1]
        return result

    with nn.intercept_methods(note):
        first, _ = shapes(64, "resnet50_v1")
    assert first == shapes(64, "resnet50")[0]
    assert (sizes["stage2_block1/conv1"], sizes["stage2_block1/conv2"]) == (8, 8)


def test_one_block_keeps_one_block_a_stage():
    variables, _ = shapes(64, "resnet34", one_block=True)
    assert {name for name in variables["params"] if "block" in name} == {
        f"stage{n}_block1" for n in range(1, 5)
    }


def test_unknown_variant():
    with pytest.raises(UsageError, match="resnet34"):
        resnet_channels("resnet33")
