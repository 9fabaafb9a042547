"""Vision transformers: counts, positions by hand, and what must not change the result."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.backbones import backbone_channels, make_backbone
from dfjax.models.initializers import one_draw
from dfjax.models.layers import Compute
from dfjax.models.summary import count
from dfjax.models.vit import VisionTransformer
from dfjax.models.vit_positions import resize_matrix, resize_positions, rotary_angles, rotate
from dfjax.models.vit_variants import VARIANTS, scale_variant
from dfjax.ops.lowering import MATMUL, NATIVE

# transformers' own totals: of CLIPVisionModel, and of Dinov2WithRegistersModel and DINOv3ViTModel
# without the token of masked patches, which is as wide as the network.
COUNTS = {
    "clip_b32": 87_456_000,
    "clip_l14": 303_179_776,
    "clip_l14_336": 303_507_456,
    "dinov2_b14_registers": 86_583_552 - 768,
    "dinov3_b16": 85_660_416 - 768,
}
SMALL = 1 / 24  # one head of 32 channels


@functools.cache
def shapes(name):
    network = make_backbone(name, compute=Compute())
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(lambda k, x: network.init(k, x, train=False), key, image)["params"]


@pytest.mark.parametrize("name", COUNTS)
def test_parameters(name):
    params = shapes(name)
    assert count(params) == COUNTS[name]
    blocks = [key for key in params if key.startswith("stage1_block")]
    assert len(blocks) == VARIANTS[name].blocks


def test_layer_norms_of_clip_l14_are_the_102_400_parameters_that_gend_trains():
    leaves = jax.tree_util.tree_leaves_with_path(shapes("clip_l14"))
    norms = [leaf for path, leaf in leaves if "_norm/" in jax.tree_util.keystr(path, simple=True, separator="/")]  # noqa: E501  # fmt: skip
    assert sum(leaf.size for leaf in norms) == (2 * 24 + 2) * 2 * 1024 == 102_400


def test_small_networks_have_whole_heads():
    for name in VARIANTS:
        for factor in (SMALL, 0.125, 0.25, 0.5, 1.0):
            variant = scale_variant(name, factor)
            assert variant.width % variant.heads == 0 and variant.width // variant.heads % 8 == 0
            assert backbone_channels(name, factor) == variant.width
    assert scale_variant("clip_b16", SMALL).width == 32
    assert backbone_channels("clip_l14") == 1024


def test_linear_positions_stay_linear_inside():
    """Keys' interpolation is exact for a straight line wherever the border is out of reach."""
    line = np.arange(16.0)
    for new in (32, 24, 8):
        matrix = resize_matrix(16, new, antialias=True)
        centres = (np.arange(new) + 0.5) * 16 / new - 0.5
        reach = 2 * max(1, 16 / new)
        inside = (centres >= reach) & (centres <= 15 - reach)
        assert inside.any()
        np.testing.assert_allclose((matrix @ line)[inside], centres[inside], atol=1e-5)
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)


def test_cubic_weights_by_hand():
    # halfway between two cells: w(0.5) = (1.25 a + ... ) = 0.59375 for a = -0.75, w(1.5) = -0.09375
    matrix = resize_matrix(8, 4, antialias=False)  # centres 0.5, 2.5, …
    np.testing.assert_allclose(matrix[1, 1:5], [-0.09375, 0.59375, 0.59375, -0.09375], atol=1e-6)
    np.testing.assert_allclose(matrix[0, :3], [0.59375 - 0.09375, 0.59375, -0.09375], atol=1e-6)


def test_resized_positions_keep_their_axes():
    table = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    grid = np.asarray(resize_positions(jnp.asarray(table), 4, 2, antialias=True)).reshape(4, 2, 3)
    matrix = resize_matrix(4, 2, antialias=True)
    np.testing.assert_allclose(grid, np.einsum("qw,hwd->hqd", matrix, table.reshape(4, 4, 3)), atol=1e-6)  # noqa: E501  # fmt: skip
    same = resize_positions(jnp.asarray(table), 4, 4, antialias=True)
    np.testing.assert_array_equal(same, table)


def test_rotary_products_depend_on_the_distance_alone():
    """Two patches that are moved together have the same product of query and key."""
    angles = rotary_angles(5, 5, 16)
    assert angles.shape == (25, 16)
    rng = np.random.default_rng(0)
    query, key = (jnp.asarray(np.tile(rng.normal(size=16), (25, 1)), jnp.float32)[None, :, None]
                  for _ in range(2))  # fmt: skip
    q, k = (np.asarray(rotate(x, angles))[0, :, 0].reshape(5, 5, 16) for x in (query, key))
    products = [q[row, column] @ k[row + 1, column + 2] for row in range(4) for column in range(3)]
    np.testing.assert_allclose(products, products[0], rtol=1e-4)
    assert abs(q[0, 0] @ k[0, 1] - q[0, 0] @ k[1, 0]) > 1e-3
    lengths = np.linalg.norm(q, axis=-1)
    np.testing.assert_allclose(lengths, lengths[0, 0], rtol=1e-5)


@functools.cache
def make(name, *, one_block=True, drop_path=0.0):
    network = VisionTransformer(name, SMALL, one_block=one_block, drop_path=drop_path)
    side = 2 * VARIANTS[name].patch
    images = jax.random.normal(jax.random.key(0), (3, side, side, 3))
    init = functools.partial(network.init, train=False)

    @jax.jit
    def draw(key):
        params = one_draw(init, key, images)["params"]
        # factors of branches and positions that show what they do
        return jax.tree.map(
            lambda x: x + 0.1 * jnp.sin(jnp.arange(x.size)).reshape(x.shape), params
        )

    return network, draw(jax.random.key(1)), images


@pytest.mark.parametrize("name", ["clip_b16", "dinov3_h16"])
def test_every_parameter_has_an_effect_and_images_do_not_influence_each_other(name):
    network, params, images = make(name)

    @jax.jit
    def run(params, images):
        def total(params):
            top = network.apply({"params": params}, images, train=True)["top"]
            return jnp.sum(jnp.sin(3 * top[0])), top

        return jax.grad(total, has_aux=True)(params)

    grads, top = run(params, images)
    others = run(params, images.at[1:].set(jnp.nan))[1]
    np.testing.assert_array_equal(top[0], others[0])
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        # adding the same vector to all keys does not change the softmax
        if "key/bias" not in jax.tree_util.keystr(path, simple=True, separator="/"):
            assert np.abs(grad).max() > 1e-7, path


def test_scanned_blocks_give_the_same_results_gradients_and_parameters(monkeypatch):
    """Also with stochastic depth, whose draws are those of the unrolled network."""
    monkeypatch.setitem(VARIANTS, "clip_b32", dataclasses.replace(VARIANTS["clip_b32"], blocks=2))
    network, params, images = make("clip_b32", one_block=False, drop_path=0.5)
    scanned = network.copy(scan_blocks=True)
    key = jax.random.key(3)
    init = functools.partial(scanned.init, train=False)
    assert jax.tree.map(jnp.shape, jax.eval_shape(init, key, images)["params"]) == jax.tree.map(
        jnp.shape, params
    )

    def loss(params, network):
        maps = network.apply({"params": params}, images, train=True, rngs={"dropout": key})
        return jnp.mean(jnp.sin(maps["top"])) + jnp.mean(jnp.cos(maps["stage1"]))

    ours, theirs = (
        jax.jit(jax.value_and_grad(functools.partial(loss, network=net)))(params)
        for net in (network, scanned)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, theirs)


SCANNED = {
    "frame_classifier": {"backbone": "clip_t8", "hidden": (), "dropout": ()},
    "clip_detector": {"backbone": "clip_t8"},
    "dual_stream": {"hq": "clip_t8", "lq": "clip_t8", "lq_size": 16, "flow": False},
    "two_stream": {"backbone": "clip_t8", "flow": False},
}


@pytest.mark.parametrize("name", SCANNED)
def test_every_detector_may_scan_the_blocks_of_its_backbone(name):
    options = SCANNED[name] | {"width": 1 / 3}
    shapes = input_shapes(name, 16, 1, 2, **options)
    inputs = {key: jax.random.normal(jax.random.key(1), leaf.shape) for key, leaf in shapes.items()}
    inputs["mask"] = jnp.ones(shapes["mask"].shape, bool)
    plain, scanned = (build(name, scan_blocks=scan, **options) for scan in (False, True))
    variables = jax.jit(plain.init)(jax.random.key(0), inputs)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        jnp.shape, jax.eval_shape(scanned.init, jax.random.key(0), inputs)
    )
    logits, jaxprs = [], []
    for model in (plain, scanned):
        apply = functools.partial(model.apply, train=False, rngs=None)
        logits.append(jax.jit(apply)(variables, inputs)[0])
        jaxprs.append(str(jax.make_jaxpr(apply)(variables, inputs)).count("scan["))
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-5)
    assert jaxprs[1] > jaxprs[0]
    convolutional = {key: "b0" for key in ("backbone", "hq") if key in options}
    with pytest.raises(UsageError, match="scan_blocks is for vision transformers, not for b0"):
        build(name, scan_blocks=True, **options | convolutional)


def test_stochastic_depth_keeps_the_mean_and_grows_with_depth():
    network = VisionTransformer("clip_b16", SMALL, drop_path=0.4)
    rngs = {"dropout": jax.random.key(0)}
    kept = network.apply({}, 12, 4000, rngs=rngs, method="_draw_kept")
    assert kept.shape == (12, 2, 4000)
    shares = np.asarray((kept > 0).mean((1, 2)))
    np.testing.assert_allclose(shares, 1 - 0.4 * np.arange(12) / 12, atol=0.02)
    np.testing.assert_allclose(kept.mean((1, 2)), 1, atol=0.03)
    assert kept[0].min() == 1


def test_bad_sizes_and_options():
    with pytest.raises(UsageError, match=r"multiple of 14, not 256 x 256"):
        VisionTransformer("clip_l14", SMALL).init(
            jax.random.key(0), jnp.zeros((1, 256, 256, 3)), train=False
        )
    with pytest.raises(UsageError, match="scan_blocks is for vision transformers, not for b0"):
        make_backbone("b0", scan_blocks=True, compute=Compute())
    with pytest.raises(UsageError, match="clip_b16 does not support padding 'static'"):
        make_backbone("clip_b16", padding="static", compute=Compute())
    with pytest.raises(UsageError, match="no batch normalisation to set"):
        make_backbone("clip_b16", bn="torch", compute=Compute())


def test_matrix_products_for_cpus_give_the_same_results():
    """The layers of a CPU multiply matrices, those of other devices batches of tokens."""
    image = jax.random.uniform(jax.random.key(0), (2, 64, 64, 3))
    results = []
    for lowering in (NATIVE, MATMUL):
        network = VisionTransformer("clip_t8", one_block=True, compute=Compute(lowering=lowering))
        init = functools.partial(network.init, train=False)
        params = one_draw(init, jax.random.key(1), image)

        def loss(params, network=network):
            return jnp.sum(network.apply(params, image, train=True)["top"] ** 3)

        results.append(jax.jit(jax.value_and_grad(loss))(params))
    for native, matmul in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(matmul, native, rtol=1e-4, atol=1e-4)
