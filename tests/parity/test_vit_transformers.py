"""CLIP, DINOv2 and DINOv3 of transformers, imported from the files that it writes itself.

All weights are random: those of the initialisation, and what would be 0 or 1 is drawn too.
"""

import re

import jax
import numpy as np
import pytest
import torch
from torch_networks import images
from transformers import (
    AutoModelForImageClassification,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
)

import dfjax
from dfjax.models.backbones import make_backbone
from dfjax.models.layers import Compute
from dfjax.models.vit_variants import VARIANTS, scale_variant
from dfjax.weights.target import backbone_target

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("compiled_quickly")]

SMALL = {"width": 1 / 6, "one_block": True}


def make_theirs(name, *, width=1.0, one_block=False):
    """Returns the network of transformers with random weights, in evaluation mode."""
    v = scale_variant(name, width)
    common = {
        "hidden_size": v.width,
        "num_hidden_layers": 1 if one_block else v.blocks,
        "num_attention_heads": v.heads,
        "image_size": v.size,
        "patch_size": v.patch,
    }
    if name.startswith("clip"):
        common |= {"intermediate_size": 4 * v.width, "hidden_act": v.activation}
        return CLIPVisionModel(CLIPVisionConfig(**common))
    if name.startswith("dinov2"):
        if v.registers:
            return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**common))
        return Dinov2Model(Dinov2Config(**common))
    gated = {"use_gated_mlp": True, "hidden_act": "silu"} if v.gated else {}
    return DINOv3ViTModel(
        DINOv3ViTConfig(intermediate_size=int(v.hidden * v.width), num_register_tokens=4,
                        **common, **gated)
    )  # fmt: skip


def randomise(model):
    """Draws all vectors and tokens, and kernels that keep the scale of the tokens."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.named_parameters():
        if "norm" in name or "lambda" in name:
            scale = 1.0 if name.endswith("bias") or "lambda" not in name else 0.3
            value.data.normal_(0, 0.2, generator=generator)
            value.data.add_(0.0 if name.endswith("bias") else scale)
        elif value.ndim in (2, 4) and "embedding.weight" not in name.replace("patch_", "patch"):
            fan = value[0].numel()
            value.data.normal_(0, fan**-0.5, generator=generator)
        else:
            value.data.normal_(0, 0.3, generator=generator)
    return model.eval()


def compare(name, model, size, folder, options, **call):
    model.save_pretrained(folder)
    target = backbone_target(name, **options)
    weights = dfjax.weights.load(folder, "transformers", target)
    assert not any("no config.json" in note for note in weights.notes)  # it has the same values
    ours, theirs = images(size, 2)
    network = make_backbone(name, compute=Compute(), **options)
    maps = jax.jit(lambda v, x: network.apply(v, x, None, train=False))(weights.variables, ours)
    with torch.no_grad():
        found = model(theirs, **call)
    np.testing.assert_allclose(maps["top"][:, 0, 0], found.pooler_output.numpy(), rtol=0, atol=1e-4)
    assert found.pooler_output.std() > 0.1  # the comparison is of something
    if not name.startswith("clip"):  # CLIP does not normalise the patches
        first = 1 + VARIANTS[name].registers
        expected = found.last_hidden_state[:, first:].numpy()
        patches = np.asarray(maps["stage1"]).reshape(expected.shape)
        np.testing.assert_allclose(patches, expected, rtol=0, atol=1e-4)
    return weights


@pytest.mark.parametrize(
    "name,size",
    [("clip_b16", 224), ("clip_l14", 224), ("clip_b32", 96), ("clip_b16_gelu", 224),
     ("dinov2_b14", 518), ("dinov2_b14", 224), ("dinov2_b14_registers", 98),
     ("dinov3_b16", 224), ("dinov3_h16", 80)],
)  # fmt: skip
def test_one_block(name, size, tmp_path):
    """At other sizes than the native one, learned positions are interpolated."""
    torch.manual_seed(size)
    model = randomise(make_theirs(name, **SMALL))
    moved = name.startswith("clip") and size != VARIANTS[name].size
    call = {"interpolate_pos_encoding": True} if moved else {}
    weights = compare(name, model, size, tmp_path, SMALL, **call)
    clip = name.startswith("clip")
    assert weights.convention.mean == pytest.approx(
        (0.48145466, 0.4578275, 0.40821073) if clip else (0.485, 0.456, 0.406)
    )


@pytest.mark.parametrize("name,size", [("clip_b16", 224), ("dinov2_b14", 112), ("dinov3_b16", 112)])
def test_base_networks(name, size, tmp_path):
    torch.manual_seed(0)
    compare(name, make_theirs(name).eval(), size, tmp_path, {})


@pytest.mark.parametrize("name", [n for n in VARIANTS if "l14" in n or "l16" in n or "h16" in n])
def test_large_networks_have_the_same_parameters(name):
    with torch.device("meta"):
        model = make_theirs(name)
    theirs = sum(v.numel() for k, v in model.named_parameters() if "mask_token" not in k)
    ours = backbone_target(name).shapes
    assert sum(int(np.prod(shape)) for shape in ours.values()) == theirs


def test_a_file_of_the_whole_clip_without_its_text_tower(tmp_path):
    vision = make_theirs("clip_b32", **SMALL).config.to_dict()
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": 50}  # fmt: skip
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text)).eval()
    model.save_pretrained(tmp_path)
    target = backbone_target("clip_b32", **SMALL)
    weights = dfjax.weights.load(tmp_path / "model.safetensors", "transformers", target)
    kernel = weights.variables["params"]["stage1_block1"]["attention"]["query"]["kernel"]
    layer = model.vision_model.encoder.layers[0].self_attn.q_proj
    np.testing.assert_array_equal(kernel, layer.weight.detach().numpy().T)


@pytest.mark.parametrize("name", ["clip_b16", "dinov2_b14", "dinov2_b14_registers"])
def test_a_file_of_a_classifier_without_it(name, tmp_path):
    config = make_theirs(name, **SMALL).config
    if name.startswith("clip"):
        text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = CLIPConfig(vision_config=config.to_dict(), text_config=text)
    config.num_labels = 3
    model = AutoModelForImageClassification.from_config(config)
    model.save_pretrained(tmp_path)
    target = backbone_target(name, **SMALL)
    weights = dfjax.weights.load(tmp_path / "model.safetensors", "transformers", target)
    left_out = "2 keys are left out: classifier.bias, classifier.weight"
    assert any(left_out in note for note in weights.notes)
    found = weights.variables["params"]["class_token"]["embedding"]
    (theirs,) = (v for k, v in model.named_parameters() if re.search("class_emb|cls_token", k))
    np.testing.assert_array_equal(found, theirs.detach().numpy().ravel())


@pytest.mark.parametrize("name", ["clip_b16", "dinov2_b14_registers", "dinov3_b16"])
def test_transformers_loads_our_export(name, tmp_path):
    model = make_theirs(name)
    model.save_pretrained(tmp_path / "a")
    weights = dfjax.weights.load(tmp_path / "a" / "model.safetensors", "transformers", name)
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "model.safetensors"
    dfjax.weights.save(path, weights.variables, "transformers", name, weights.convention)
    model.config.save_pretrained(tmp_path / "b")
    other, info = type(model).from_pretrained(tmp_path / "b", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
