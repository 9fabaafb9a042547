"""Key maps: their keys and shapes are those of the programs, and they lose no bit either way."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.models.backbones import BACKBONES
from dfjax.weights.convention import Convention
from dfjax.weights.conversion import to_ours, to_theirs
from dfjax.weights.fit import usual_fit
from dfjax.weights.foreign_file import read_foreign
from dfjax.weights.key_map import make_key_map
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.loading import load
from dfjax.weights.mismatch import MismatchError
from dfjax.weights.registry import ORIGINS
from dfjax.weights.safetensors_file import flatten, unflatten
from dfjax.weights.saving import save
from dfjax.weights.target import backbone_target, detector_target

GOLDEN = json.loads((Path(__file__).parent / "golden" / "keys.json").read_text())
"""SHA-256 of `KEY SHAPE` lines of the state dicts without classifier, by program and network.

Of timm 1.0.31 (`tf_efficientnet_…`, `legacy_xception`), torchvision 0.28.0, efficientnet_pytorch
0.7.1, efficientnet_lite_pytorch 0.1.0 and transformers 5.24.0.
"""

NETWORKS = [(o, n) for o, origin in ORIGINS.items() for n in origin.networks]
FORMATS = {False: (".safetensors", ".npz"), True: (".h5", ".npz")}


full_target = functools.lru_cache(backbone_target)


def draw(shapes, seed=0):
    """Returns random parameters by path, and positive variances."""
    rng = np.random.default_rng(seed)
    return {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


def make_target(origin, name):
    """Returns a small network for a program, and the convention of its files."""
    network = ORIGINS[origin].networks[name]
    if name in ("meso4", "mesoinception4"):
        options = {"classes": network.settings.get("classes", 1)}
        return detector_target(name, options, size=64), network
    if network.config:
        backbone = network.settings.get("backbone", name)
        options = {"backbone": backbone, "width": 0.25, "one_block": True}
        options |= {"hidden": (), "dropout": (), "classes": 2}
        target = detector_target("frame_classifier", options, size=224)
    else:
        target = backbone_target(network.renamed or name, width=0.25, one_block=True)
    return dataclasses.replace(target, name=name), network


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_keys_and_shapes_are_those_of_the_program(name):
    origin, network = name.split()
    target = full_target(network)
    key_map = usual_fit(ORIGINS[origin], target).key_map
    assert not key_map.unmapped
    lines = {f"{e.theirs} {'x'.join(map(str, e.their_shape()))}" for e in key_map.entries}
    assert len(lines) == len(target.shapes)  # each of our parameters has a key of its own
    lines |= {f"{key} " for key in key_map.counters}
    assert hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16] == GOLDEN[name]


def test_deepfakebench_has_706_tensors():
    options = {"backbone": "b4", "hidden": (), "dropout": (), "classes": 2}
    target = detector_target("frame_classifier", options, size=64)
    target = dataclasses.replace(target, name="efficientnet_b4_linear")
    key_map = usual_fit(ORIGINS["deepfakebench"], target).key_map
    keys = {entry.theirs for entry in key_map.entries}
    assert len(keys) == 610 and len(key_map.counters) == 96
    assert all(k.startswith("backbone.efficientnet._") for k in keys if "last_layer" not in k)
    assert {k for k in keys if "last_layer" in k} == {
        "backbone.last_layer.weight",
        "backbone.last_layer.bias",
    }


def test_gend_has_393_tensors_and_an_unused_projection(tmp_path):
    options = {"backbone": "clip_l14", "hidden": (), "dropout": (), "classes": 2}
    full = detector_target("frame_classifier", options, size=224)
    key_map = usual_fit(ORIGINS["gend"], dataclasses.replace(full, name="gend")).key_map
    shapes = {entry.theirs: entry.their_shape() for entry in key_map.entries}
    assert len(shapes) == 393 and not key_map.unmapped and not key_map.counters
    tower = "feature_extractor.vision_model."
    assert {k for k in shapes if not k.startswith(tower)} == {
        "model.linear.weight",
        "model.linear.bias",
    }
    assert shapes["model.linear.weight"] == (2, 1024)
    assert shapes[tower + "pre_layrnorm.weight"] == shapes[tower + "embeddings.class_embedding"]
    assert shapes[tower + "embeddings.patch_embedding.weight"] == (1024, 3, 14, 14)
    assert shapes[tower + "encoder.layers.23.mlp.fc1.weight"] == (4096, 1024)
    target, network = make_target("gend", "gend")
    flat = draw(target.shapes)
    theirs = to_theirs(flat, usual_fit(ORIGINS["gend"], target).key_map)
    theirs["feature_extractor.visual_projection.weight"] = np.ones((6, 8), np.float32)
    np.savez(tmp_path / "w.npz", **theirs)
    weights = load(tmp_path / "w.npz", "gend", target)
    assert flatten(weights.variables).keys() == flat.keys()
    assert weights.convention == dataclasses.replace(network.conventions["same"], origin="gend")


def test_gend_on_dinov3_has_the_names_of_transformers_below_a_prefix():
    options = {"backbone": "dinov3_l16", "hidden": (), "dropout": (), "classes": 2}
    full = detector_target("frame_classifier", options, size=224)
    target = dataclasses.replace(full, name="gend_dinov3_l16")
    key_map = usual_fit(ORIGINS["gend"], target).key_map
    found = {entry.theirs: entry.their_shape() for entry in key_map.entries} | key_map.extras
    plain = usual_fit(ORIGINS["transformers"], full_target("dinov3_l16")).key_map
    backbone = {entry.theirs: entry.their_shape() for entry in plain.entries} | plain.extras
    expected = {f"feature_extractor.backbone.{key}": shape for key, shape in backbone.items()}
    assert found == expected | {"model.linear.weight": (2, 1024), "model.linear.bias": (2,)}
    assert "feature_extractor.backbone.embeddings.mask_token" in found


@pytest.mark.parametrize("name", ["gend", "gend_dinov3_l16"])
def test_another_layout_of_gend_is_refused_with_those_that_are_read(name, tmp_path):
    """The names are those of timm's Perception Encoder."""
    target, _ = make_target("gend", name)
    theirs = to_theirs(draw(target.shapes), usual_fit(ORIGINS["gend"], target).key_map)
    head = {key: value for key, value in theirs.items() if key.startswith("model.")}
    assert len(head) == 2
    prefix, one = "feature_extractor.backbone.", np.ones(4, np.float32)
    other = {f"{prefix}{key}": one for key in ("pos_embed", "norm_pre.weight", "norm.weight")}
    np.savez(tmp_path / "w.npz", **other, **head)
    with pytest.raises(MismatchError, match=r"CLIP L/14, gend_dinov3_l16 .* DINOv3 L/16.* cannot"):
        load(tmp_path / "w.npz", "gend", target)


@pytest.mark.parametrize("origin,name", NETWORKS)
def test_import_of_an_export_is_bitwise(origin, name, tmp_path):
    target, network = make_target(origin, name)
    flat = draw(target.shapes)
    if origin == "deepfakebench" and name.startswith("meso"):
        share(flat)
    convention = next(iter(network.conventions.values()))
    for suffix in FORMATS[ORIGINS[origin].keras]:
        path = tmp_path / f"w{suffix}"
        theirs = save(path, unflatten(flat), origin, target, convention)
        content = read_foreign(path).content  # counters are scalars in torch's state dicts
        assert {k: v.shape for k, v in content.items()} == {k: v.shape for k, v in theirs.items()}
        weights = load(path, origin, target, padding=convention.padding)
        loaded = flatten(weights.variables)
        assert loaded.keys() == flat.keys() and not weights.new
        for key in flat:
            np.testing.assert_array_equal(loaded[key], flat[key])
        assert weights.convention.padding == convention.padding
        assert weights.convention.bn == convention.bn
        np.testing.assert_allclose(weights.convention.std, convention.std, atol=1e-6)


def share(flat):
    """Makes what is one weight in DeepfakeBench's MesoNets equal, and what they lack zero."""
    inception = any("inception" in key for key in flat)
    for ours, theirs in (("bn2", "bn1"), ("bn4", "bn3")):
        for key in [key for key in flat if f".{ours}." in key]:
            if ours == "bn4" or not inception:
                flat[key] = flat[key.replace(ours, theirs)]
    for key in flat:
        if "conv" in key and key.endswith("bias"):
            flat[key][:] = 0


@pytest.mark.parametrize("name", ["b0", "resnet50"])
def test_dfjax_files_are_bitwise(name, tmp_path):
    target = backbone_target(name, width=0.25, one_block=True)
    flat = draw(target.shapes)
    for suffix in (".safetensors", ".npz"):
        save(tmp_path / f"w{suffix}", unflatten(flat), "dfjax", target, Convention("same", None))
        loaded = flatten(load(tmp_path / f"w{suffix}", "dfjax", target).variables)
        assert all(np.array_equal(loaded[key], flat[key]) for key in flat)


def test_layouts_by_hand():
    table = Table(
        TORCH, {"conv": "c", "depthwise_conv": "d", "hidden": "h"}, flattened={"hidden": 2}
    )
    shapes = {
        "params.conv.kernel": (1, 2, 3, 4),
        "params.depthwise_conv.kernel": (2, 2, 1, 3),
        "params.hidden.kernel": (8, 5),
    }
    key_map = make_key_map(table, shapes)
    ours = draw(shapes)
    theirs = to_theirs(ours, key_map)
    assert theirs["c.weight"].shape == (4, 3, 1, 2) and theirs["d.weight"].shape == (3, 1, 2, 2)
    kernel = ours["params.conv.kernel"]
    assert theirs["c.weight"][3, 1, 0, 1] == kernel[0, 1, 1, 3]
    # Cell (row 1, column 0) of channel 1 of a map [2, 2, 2]: ours is cell * 2 + 1, theirs 4 + cell.
    assert theirs["h.weight"][4, 4 + 2] == ours["params.hidden.kernel"][2 * 2 + 1, 4]


def test_biases_of_keras_resnets_are_subtracted_from_the_means(tmp_path):
    target, network = make_target("keras", "resnet50")
    fit = usual_fit(ORIGINS["keras"], target)
    theirs = to_theirs(draw(target.shapes), fit.key_map)
    theirs["conv1_conv/bias"] = np.full(16, 0.5, np.float32)
    ours = to_ours(theirs, fit.key_map, source="w.h5")
    mean = theirs["conv1_bn/moving_mean"] - np.float32(0.5)
    np.testing.assert_array_equal(ours["batch_stats.stem_bn.mean"], mean)
    # The first convolution reads blue, green, red there.
    flipped = theirs["conv1_conv/kernel"][:, :, ::-1]
    np.testing.assert_array_equal(ours["params.stem_conv.kernel"], flipped)


def test_mismatch_lists_both_sides_with_the_nearest_names():
    target = backbone_target("resnet18", width=0.25, one_block=True)
    key_map = usual_fit(ORIGINS["torchvision"], target).key_map
    theirs = to_theirs(draw(target.shapes), key_map)
    theirs["layer1.0.conv_1.weight"] = theirs.pop("layer1.0.conv1.weight")
    theirs["bn1.weight"] = theirs["bn1.weight"][:3]
    with pytest.raises(MismatchError) as error:
        to_ours(theirs, key_map, source="w.pth")
    assert error.value.missing == ["layer1.0.conv1.weight"]
    assert error.value.unexpected == ["layer1.0.conv_1.weight"]
    assert error.value.misshaped == {"bn1.weight": ((3,), (16,))}
    assert "layer1.0.conv1.weight (near layer1.0.conv_1.weight)" in str(error.value)
    assert "bn1.weight (3,) instead of (16,)" in str(error.value)


def test_a_value_that_is_not_finite_is_an_error():
    target = backbone_target("vgg16", width=0.25, one_block=True)
    key_map = usual_fit(ORIGINS["torchvision"], target).key_map
    theirs = to_theirs(draw(target.shapes), key_map)
    theirs["features.0.bias"][1] = np.nan
    with pytest.raises(UsageError, match=r"not finite in features\.0\.bias"):
        to_ours(theirs, key_map, source="w.pth")


def test_shared_weights_that_differ_cannot_go_back():
    target, _ = make_target("deepfakebench", "meso4")
    key_map = usual_fit(ORIGINS["deepfakebench"], target).key_map
    flat = draw(target.shapes)
    with pytest.raises(UsageError, match="not zero here"):
        to_theirs(flat, key_map)
    share(flat)
    flat["params.bn2.scale"] = flat["params.bn2.scale"] + 1
    with pytest.raises(UsageError, match=r"one weight backbone\.bn1\.weight for several layers"):
        to_theirs(flat, key_map)


def test_every_backbone_has_an_origin():
    covered = {n.renamed or name for o in ORIGINS.values() for name, n in o.networks.items()}
    assert set(BACKBONES) - covered == {"clip_t8"}


def test_our_small_network_is_none_of_transformers(tmp_path):
    target = backbone_target("clip_t8", width=1 / 3, one_block=True)
    np.savez(tmp_path / "w.npz", **{"vision_model.pre_layrnorm.weight": np.ones(32, np.float32)})
    with pytest.raises(UsageError, match="transformers has no clip_t8; its networks here: b0, .*"):
        load(tmp_path / "w.npz", "transformers", target)


def test_another_padding_or_epsilon_is_an_error(tmp_path):
    target, _ = make_target("torchvision", "b0")
    variables = unflatten(draw(target.shapes))
    same = ORIGINS["timm"].networks["b0"].conventions["same"]
    with pytest.raises(UsageError, match="trained with the padding same, and torchvision"):
        save(tmp_path / "w.npz", variables, "torchvision", target, same)
    symmetric = dataclasses.replace(same, padding="symmetric")
    with pytest.raises(UsageError, match=r"epsilon of 0\.001 .* has 1e-05"):
        save(tmp_path / "w.npz", variables, "torchvision", target, symmetric)
    assert not list(tmp_path.iterdir())


def test_timm_has_two_paddings(tmp_path):
    target, network = make_target("timm", "b0")
    save(
        tmp_path / "w.npz",
        unflatten(draw(target.shapes)),
        "timm",
        target,
        network.conventions["same"],
    )
    with pytest.raises(UsageError, match="give padding=same or symmetric"):
        load(tmp_path / "w.npz", "timm", target)
    for name, padding in (("tf_efficientnet_b0.npz", "same"), ("efficientnet_b0.npz", "symmetric")):
        (tmp_path / "w.npz").rename(tmp_path / name)
        convention = load(tmp_path / name, "timm", target).convention
        assert convention.padding == padding
        assert convention.bn.epsilon == (1e-3 if padding == "same" else 1e-5)
        (tmp_path / name).rename(tmp_path / "w.npz")
    with pytest.raises(UsageError, match="does not pad b0 by the rule static"):
        load(tmp_path / "w.npz", "timm", target, padding="static")
