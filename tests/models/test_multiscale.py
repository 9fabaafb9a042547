import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models.backbones import make_backbone
from dfjax.models.frame_encoder import encode_frames
from dfjax.models.layers import Compute
from dfjax.models.multiscale import Pyramid, ScaleAttention, SpatialAttention


def levels_of(name, size, levels):
    """The maps that a backbone gives of frames of this size, from shapes alone."""
    network = make_backbone(name, width=0.125, one_block=True, compute=Compute())

    def run():
        clip, mask = jnp.zeros((1, 2, size, size, 3)), jnp.ones((1, 2), bool)
        bound = network.bind(network.init(jax.random.key(0), clip[0], mask[0], train=False))
        return encode_frames(bound, clip, mask, train=False, levels=levels)

    return {name: maps.shape for name, maps in jax.eval_shape(run).items()}


def test_levels_are_the_last_map_of_each_size():
    resnet = levels_of("resnet18", 64, 3)
    assert {name: shape[2] for name, shape in resnet.items()} == {
        "top": 2,
        "stage3": 4,
        "stage2": 8,
    }
    b0 = levels_of("b0", 64, 3)
    assert {name: shape[2] for name, shape in b0.items()} == {"top": 2, "stage5": 4, "stage3": 8}
    assert set(levels_of("b0", 64, 1)) == {"top"}
    assert len(levels_of("resnet18", 64, 9)) == 5  # there are no more sizes: 32, 16, 8, 4, 2


def test_the_pyramid_adds_from_the_top_down():
    """With laterals and smoothing that copy, every level holds itself and all smaller ones."""
    maps = {"low": jnp.full((1, 2, 4, 4, 1), 10.0), "top": jnp.full((1, 2, 2, 2, 1), 1.0)}
    pyramid = Pyramid(1)
    copy = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    params = {
        f"{name}_{part}": {"kernel": kernel, "bias": jnp.zeros(1)}
        for name in maps
        for part, kernel in (("lateral", jnp.ones((1, 1, 1, 1))), ("smooth", copy))
    }
    vectors = pyramid.apply({"params": params}, maps)
    np.testing.assert_allclose(vectors, np.tile([1.0, 11.0], (1, 2, 1)), rtol=1e-6)


def test_spatial_attention_is_a_gate_per_cell_that_sees_mean_and_maximum():
    maps = jax.random.normal(jax.random.key(0), (1, 2, 3, 3, 4))
    attention = SpatialAttention()
    variables = attention.init(jax.random.key(1), maps)
    assert variables["params"]["score"]["kernel"].shape == (7, 7, 2, 1)
    gates = attention.apply(variables, maps) / maps
    np.testing.assert_allclose(gates, jnp.broadcast_to(gates[..., :1], gates.shape), rtol=1e-4)
    assert np.all((gates > 0) & (gates < 1))
    zeroed = jax.tree.map(jnp.zeros_like, variables)
    np.testing.assert_allclose(attention.apply(zeroed, maps), maps / 2, rtol=1e-6)


def test_attention_over_scales_is_a_weighted_mean_frame_by_frame():
    vectors = [jax.random.normal(jax.random.key(seed), (2, 3, 4)) for seed in range(3)]
    attention = ScaleAttention()
    variables = attention.init(jax.random.key(9), vectors)
    mean, weights = attention.apply(variables, vectors)
    assert weights.shape == (2, 3, 3)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    expected = sum(v * weights[..., i : i + 1] for i, v in enumerate(vectors))
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    zeroed = jax.tree.map(jnp.zeros_like, variables)
    np.testing.assert_allclose(attention.apply(zeroed, vectors)[0], sum(vectors) / 3, atol=1e-6)
