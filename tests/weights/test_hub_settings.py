"""Files of the hub beside weights: what a network would compute, and its input."""

import dataclasses
import json

import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.errors import FileError, UsageError
from dfjax.models.vit_variants import VARIANTS
from dfjax.weights import hub_settings
from dfjax.weights.convention import (
    CLIP_MEAN,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Convention,
    convention_from_dict,
)
from dfjax.weights.hub_settings import compare_config
from dfjax.weights.loading import load
from dfjax.weights.registry import ORIGINS
from dfjax.weights.safetensors_file import flatten, load_safetensors, read_arrays, unflatten
from dfjax.weights.saving import save
from dfjax.weights.target import backbone_target, detector_target

CLIP_B32 = {
    "hidden_act": "quick_gelu", "hidden_size": 192, "layer_norm_eps": 1e-5,
    "num_attention_heads": 3, "patch_size": 32,
}  # fmt: skip
SMALL = {"width": 0.25, "one_block": True}


def draw(target):
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=s).astype(np.float32) for key, s in target.shapes.items()}


def write(folder, origin="transformers", name="clip_b32", **files):
    """A folder of the hub with a small network; returns its target."""
    if origin == "gend":
        settings = ORIGINS["gend"].networks[name].settings
        options = {k: v for k, v in settings.items() if k in ("backbone", "classes")} | SMALL
        options |= {"hidden": (), "dropout": ()}
        target = detector_target("frame_classifier", options, size=224)
        target = dataclasses.replace(target, name=name)
    else:
        target = backbone_target(name, **SMALL)
    convention = next(iter(ORIGINS[origin].networks[name].conventions.values()))
    save(folder / "model.safetensors", unflatten(draw(target)), origin, target, convention)
    for file, values in files.items():
        (folder / f"{file}.json").write_text(json.dumps(values))
    return target


@pytest.mark.parametrize("whole", [False, True])
def test_a_folder_of_the_hub_tells_the_network_and_its_input(whole, tmp_path):
    config = {"model_type": "clip", "vision_config": CLIP_B32} if whole else CLIP_B32
    half = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "do_resize": True}
    target = write(tmp_path, config=config, preprocessor_config=half)
    weights = load(tmp_path, "transformers", target)
    assert weights.notes == ()
    assert (weights.convention.mean, weights.convention.std) == ((0.5,) * 3, (0.25,) * 3)
    given = load(tmp_path, "transformers", target, mean=IMAGENET_MEAN).convention
    assert (given.mean, given.std) == (IMAGENET_MEAN, (0.25,) * 3)


def test_without_these_files_the_notes_tell_what_is_assumed(tmp_path):
    weights = load(tmp_path, "transformers", write(tmp_path))
    config, preprocessor = weights.notes
    assert "no config.json" in config and "hidden_act=quick_gelu" in config
    assert "no preprocessor_config.json" in preprocessor and str(CLIP_MEAN) in preprocessor
    given = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    target = backbone_target("clip_b32", **SMALL)
    assert load(tmp_path, "transformers", target, **given).notes == (config,)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("clip_b32", {"hidden_act": "gelu"}, "clip_b32 has quick_gelu.*those of clip_b32_gelu"),
        ("clip_b32", {"vision_config": {"hidden_act": "gelu_new"}}, "hidden_act=gelu_new"),
        ("clip_b32_gelu", CLIP_B32, "clip_b32_gelu has gelu: .*those of clip_b32"),
        ("clip_b32", {"layer_norm_eps": 1e-6}, "layer_norm_eps=1e-06, and clip_b32 has 1e-05"),
        ("dinov2_b14", {"hidden_size": 768, "num_attention_heads": 6}, "heads=6, .* has 12"),
        ("clip_b32", {"num_attention_heads": 16}, "num_attention_heads=16, and clip_b32 has 12"),
        ("clip_b32", {"patch_size": [32, 16]}, "patch_size="),
        ("dinov2_b14", {"layer_norm_eps": 1e-5}, "layer_norm_eps=1e-05, and .* has 1e-06"),
        ("dinov3_b16", {"rope_theta": 10000.0}, "rope_theta=10000, and dinov3_b16 has 100"),
        ("dinov3_b16", {"rope_theta": 10**400}, "rope_theta=1000"),
        ("gend", {"head": "linear"}, "head=linear, and gend has LinearNorm"),
        ("gend", {"backbone": "openai/clip-vit-large-patch14"}, "head=linear, and gend has"),
        ("gend", {"head": "LinearNorm", "backbone": "laion/CLIP-ViT-L-14"}, "backbone=laion"),
        ("clip_b32_gelu", {"vision_config": {"patch_size": 32}}, "hidden_act=quick_gelu, and"),
        ("clip_b32_gelu", {"vision_config": {"dropout": 0.0}}, "hidden_act=quick_gelu, and"),
    ],
)
def test_another_function_with_the_same_keys_is_refused(name, values, message, tmp_path):
    origin = "gend" if name == "gend" else "transformers"
    target = write(tmp_path, origin, name, config=values)
    with pytest.raises(UsageError, match=f"config.json has .*{message}"):
        load(tmp_path / "model.safetensors", origin, target)


def test_a_clip_with_gelu_is_a_backbone_of_its_own(tmp_path, capsys):
    assert VARIANTS["clip_l14_gelu"].activation == "gelu"
    same = dataclasses.replace(VARIANTS["clip_l14_gelu"], activation="quick_gelu")
    assert same == VARIANTS["clip_l14"]
    target = write(tmp_path, config=CLIP_B32 | {"hidden_act": "gelu"})
    gelu = dataclasses.replace(target, name="clip_b32_gelu")
    weights = load(tmp_path, "transformers", gelu)
    assert weights.network == "clip_b32_gelu"
    assert flatten(weights.variables).keys() == target.shapes.keys()
    out = tmp_path / "w.safetensors"
    arguments = ["weights", "import", "--from", "transformers", str(tmp_path), "--model"]
    assert main([*arguments, "clip_b32", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "hidden_act=gelu" in error and error.count("\n") == 1 and not out.exists()


def test_the_detectors_of_gend_have_a_head_of_unit_features(tmp_path):
    values = {"head": "LinearNorm", "backbone": "facebook/dinov3-vitl16-pretrain-lvd1689m"}
    target = write(tmp_path, "gend", "gend_dinov3_l16", config=values)
    (note, _) = load(tmp_path, "gend", target).notes
    assert "no preprocessor_config.json" in note


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "[]", "config.json is damaged"),
        ("config.json", "{", "config.json is damaged"),
        ("config.json", "{" + " " * 2000 + "}", "has 2002 bytes; at most 1000 are read"),
        ("preprocessor_config.json", '{"image_mean": [0.5]}', r"image_mean=\[0.5\], not a value"),
        ("preprocessor_config.json", '{"image_std": [0, 1, 1]}', r"image_std=\[0, 1, 1\]"),
        ("preprocessor_config.json", '{"image_std": [1, 1, NaN]}', "image_std="),
        ("preprocessor_config.json", '{"image_mean": "0.5"}', "is damaged"),
    ],
)
def test_damaged_files_are_named(file, content, message, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_settings, "MAX_BYTES", 1000)
    target = write(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(FileError, match=message):
        load(tmp_path, "transformers", target)


def test_a_large_network_is_compared_by_its_number_of_heads(tmp_path):
    networks = {"dinov2_l14": ORIGINS["transformers"].networks["dinov2_l14"].hub_config}
    values = {"hidden_size": 1024, "num_attention_heads": 16, "hidden_act": "gelu"}
    values |= {"layer_norm_eps": 1e-6, "patch_size": 14}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert compare_config(tmp_path / "w", "dinov2_l14", networks) == ()
    (tmp_path / "config.json").write_text(json.dumps(values | {"num_attention_heads": 8}))
    with pytest.raises(UsageError, match="num_attention_heads=8, and dinov2_l14 has 16"):
        compare_config(tmp_path / "w", "dinov2_l14", networks)


TOWER = {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12}
LAYOUTS = {
    "clip_b32": {
        "model_type": "clip", "projection_dim": 512, "vision_config_dict": None,
        "text_config": {
            "hidden_act": "gelu", "hidden_size": 512, "num_attention_heads": 8,
            "layer_norm_eps": 1e-3,
        },
        "vision_config": TOWER
        | {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "patch_size": 32, "image_size": 224},
    },
    "dinov2_b14": TOWER
    | {
        "model_type": "dinov2", "hidden_act": "gelu", "layer_norm_eps": 1e-6, "patch_size": 14,
        "image_size": 518, "layerscale_value": 1.0, "use_swiglu_ffn": False,
    },
    "dinov3_b16": TOWER
    | {
        "model_type": "dinov3_vit", "hidden_act": "gelu", "layer_norm_eps": 1e-5, "patch_size": 16,
        "rope_theta": 100.0, "pos_embed_rescale": 2.0, "key_bias": False, "num_register_tokens": 4,
    },
}  # fmt: skip
"""Files with the keys of those on the hub."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_whole_files_of_the_hub_are_those_of_their_network(name, tmp_path):
    networks = {name: ORIGINS["transformers"].networks[name].hub_config}
    (tmp_path / "config.json").write_text(json.dumps(LAYOUTS[name]))
    assert compare_config(tmp_path / "w", name, networks) == ()


def test_what_the_files_do_not_tell_is_a_note(tmp_path):
    target = write(
        tmp_path,
        config={"hidden_act": "quick_gelu", "patch_size": 32},
        preprocessor_config={"image_std": [0.5] * 3},
    )
    config, mean = load(tmp_path, "transformers", target).notes
    assert "incomplete: assumed are num_attention_heads=12, layer_norm_eps=1e-05" in config
    assert f"no image_mean: assumed is {CLIP_MEAN}" in mean
    write(tmp_path, config={"name": "resnet18"}, preprocessor_config={"do_normalize": False})
    weights = load(tmp_path, "transformers", target)
    (config,) = weights.notes
    assert "is of something else: assumed are num_attention_heads=12" in config
    assert (weights.convention.mean, weights.convention.std) == ((0,) * 3, (1,) * 3)


@pytest.mark.parametrize(("name", "prefix"), [("clip_b32", ""), ("dinov2_b14", "dinov2.")])
def test_the_classifier_of_a_fine_tuned_network_is_left_out(name, prefix, tmp_path):
    target = write(tmp_path, name=name)
    theirs = read_arrays(tmp_path / "model.safetensors")
    arrays = {prefix + key: value for key, value in theirs.items()}
    arrays |= {"classifier.weight": np.ones((2, 4), "f"), "classifier.bias": np.ones(2, "f")}
    np.savez(tmp_path / "w.npz", **arrays)
    weights = load(tmp_path / "w.npz", "transformers", target)
    flat = draw(target)
    loaded = flatten(weights.variables)
    assert loaded.keys() == flat.keys() and all(np.array_equal(loaded[k], flat[k]) for k in flat)
    left_out = "2 keys are left out: classifier.weight, classifier.bias (a backbone has no classif"
    assert any(left_out in note for note in weights.notes)


def test_an_imported_folder_has_the_input_of_its_file_in_the_header(tmp_path, monkeypatch):
    narrow = dataclasses.replace(VARIANTS["clip_b32"], width=48, heads=1, blocks=1)
    monkeypatch.setitem(VARIANTS, "clip_b32", narrow)
    target = backbone_target("clip_b32")
    convention = ORIGINS["transformers"].networks["clip_b32"].conventions["same"]
    folder = tmp_path / "hub"
    folder.mkdir()
    save(folder / "model.safetensors", unflatten(draw(target)), "transformers", target, convention)
    values = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    out = tmp_path / "w.safetensors"
    arguments = ["weights", "import", "--from", "transformers", str(folder), "--model", "clip_b32"]
    assert main([*arguments, "--out", str(out)]) == 0
    _, header = load_safetensors(out)
    assert header["convention"]["mean"] == header["convention"]["std"] == [0.5] * 3
    assert header["source"] == "model.safetensors" and len(header["source_sha256"]) == 64


def test_other_folders_and_lists_of_shards_are_one_line(tmp_path):
    target = backbone_target("clip_b32", **SMALL)
    with pytest.raises(UsageError, match="is a folder without model.safetensors or pytorch_model"):
        load(tmp_path, "transformers", target)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {}}')
    for path in (tmp_path, index):
        with pytest.raises(UsageError, match="lists several files .* save it as one file"):
            load(path, "transformers", target)


@pytest.mark.parametrize("size", [0, -5, 2**40])
def test_a_header_with_an_impossible_size_is_damaged(size):
    told = Convention("same", None).to_dict()
    assert convention_from_dict(told, name="w") == Convention("same", None)
    with pytest.raises(FileError, match=f"w has size={size!s:.9}, not 1 to 4096 pixels"):
        convention_from_dict(told | {"size": size}, name="w")
