import jax
import jax.numpy as jnp

from dfjax.models.summary import count
from dfjax.models.xception import Xception


def shapes(size, **options):
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    network = Xception(**options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda k, x: network.init(k, x, train=False), key, image)
    maps = jax.eval_shape(lambda v, x: network.apply(v, x, train=False), variables, image)
    return variables, {name: value.shape[1:] for name, value in maps.items()}


def test_endpoints_at_the_native_size():
    _, maps = shapes(299)
    assert maps == {
        "stem": (147, 147, 64),  # two unpadded convolutions
        "stage1": (74, 74, 128),
        "stage2": (37, 37, 256),
        "stage3": (19, 19, 728),
        "stage4": (10, 10, 1024),
        "top": (10, 10, 2048),
    }


def test_parameters_by_hand():
    variables, _ = shapes(96)
    parts = {name: count(part) for name, part in variables["params"].items()}
    separable = 3 * 3 * 728 + 728 * 728
    assert parts["stage3_block2"] == 3 * (separable + 2 * 728)  # scale and bias
    assert parts["stem_conv1"] == 3 * 3 * 3 * 32
    entry = 9 * 64 + 64 * 128 + 9 * 128 + 128 * 128 + 2 * 2 * 128
    assert parts["stage1_block1"] == entry + 64 * 128 + 2 * 128  # and the shortcut


def test_one_block_leaves_the_middle_flow_out():
    variables, _ = shapes(96, one_block=True)
    assert {name for name in variables["params"] if "block" in name} == {
        f"stage{n}_block1" for n in range(1, 5)
    }
