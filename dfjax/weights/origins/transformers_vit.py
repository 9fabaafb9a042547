"""Names of the vision transformers of Hugging Face's transformers, as in the files of its hub.

A file of CLIP has the text tower and both projections too, which are left out. Its pooled output is
the class token before the projection.
"""

from dataclasses import replace
from typing import Any

from dfjax.models.vit_positions import LONGEST
from dfjax.models.vit_variants import VARIANTS, Variant
from dfjax.weights.convention import CLIP_MEAN, CLIP_STD, Convention
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.origin import Network

CLIP_FILE = replace(
    TORCH,
    ignored=r"(^|\.)(text_model|text_projection|visual_projection)\.|(^|\.)logit_scale$"
    r"|\.position_ids$",
)
"""CLIP's framework: what else is in a file of the whole network is not read."""

LAYER = "vision_model.encoder.layers.{b_0}."
CLIP = {
    "patch_embedding": "vision_model.embeddings.patch_embedding",
    "class_token": "vision_model.embeddings.class_embedding",
    "positions": "vision_model.embeddings.position_embedding.weight",
    "input_norm": "vision_model.pre_layrnorm",  # their spelling
    "block.attention.key": LAYER + "self_attn.k_proj",
    "block.attention.value": LAYER + "self_attn.v_proj",
    "block.attention.query": LAYER + "self_attn.q_proj",
    "block.attention.output": LAYER + "self_attn.out_proj",
    "block.attention_norm": LAYER + "layer_norm1",
    "block.mlp.hidden": LAYER + "mlp.fc1",
    "block.mlp.output": LAYER + "mlp.fc2",
    "block.mlp_norm": LAYER + "layer_norm2",
    "output_norm": "vision_model.post_layernorm",
}
DINOV2 = {
    "patch_embedding": "embeddings.patch_embeddings.projection",
    "class_token": "embeddings.cls_token",
    "positions": "embeddings.position_embeddings",
    "registers": "embeddings.register_tokens",
    "block.attention_norm": "encoder.layer.{b_0}.norm1",
    "block.attention.query": "encoder.layer.{b_0}.attention.attention.query",
    "block.attention.key": "encoder.layer.{b_0}.attention.attention.key",
    "block.attention.value": "encoder.layer.{b_0}.attention.attention.value",
    "block.attention.output": "encoder.layer.{b_0}.attention.output.dense",
    "block.attention_scale": "encoder.layer.{b_0}.layer_scale1.lambda1",
    "block.mlp_norm": "encoder.layer.{b_0}.norm2",
    "block.mlp.hidden": "encoder.layer.{b_0}.mlp.fc1",
    "block.mlp.output": "encoder.layer.{b_0}.mlp.fc2",
    "block.mlp_scale": "encoder.layer.{b_0}.layer_scale2.lambda1",
    "output_norm": "layernorm",
}
DINOV3 = {
    "patch_embedding": "embeddings.patch_embeddings",
    "class_token": "embeddings.cls_token",
    "registers": "embeddings.register_tokens",
    "block.attention_norm": "layer.{b_0}.norm1",
    "block.attention.key": "layer.{b_0}.attention.k_proj",
    "block.attention.value": "layer.{b_0}.attention.v_proj",
    "block.attention.query": "layer.{b_0}.attention.q_proj",
    "block.attention.output": "layer.{b_0}.attention.o_proj",
    "block.attention_scale": "layer.{b_0}.layer_scale1.lambda1",
    "block.mlp_norm": "layer.{b_0}.norm2",
    "block.mlp.gate": "layer.{b_0}.mlp.gate_proj",
    "block.mlp.hidden": "layer.{b_0}.mlp.up_proj",
    "block.mlp.output": "layer.{b_0}.mlp.down_proj",
    "block.mlp_scale": "layer.{b_0}.layer_scale2.lambda1",
    "output_norm": "norm",
}
CLASSIFIER = ("classifier.",)
"""Beginning of the keys of transformers' networks for the classification of images."""
CLIP_WHOLE = {"class_token": 0, "positions": 0}
DINO_WHOLE = {
    "class_token": 2, "positions": 1, "registers": 1, "attention_scale": 0, "mlp_scale": 0,
}  # fmt: skip


def find_settings(variant: Variant) -> dict[str, Any]:
    """Returns the values of a vision transformer in transformers' `config.json`."""
    rotary = {"rope_theta": LONGEST} if variant.rotary else {}
    return {
        "hidden_size": variant.width,
        "num_attention_heads": variant.heads,
        "patch_size": variant.patch,
        "hidden_act": variant.activation,
        "layer_norm_eps": variant.epsilon,
        **rotary,
    }


def _network(name: str) -> Network:
    """Returns the names of a vision transformer, and what its weights expect of the input."""
    variant = VARIANTS[name]
    settings = find_settings(variant)
    if name.startswith("clip"):
        convention = Convention("same", None, CLIP_MEAN, CLIP_STD, variant.size)
        table = Table(CLIP_FILE, CLIP, CLASSIFIER, whole=CLIP_WHOLE)
        return Network(table, {"same": convention}, hub_config=settings)
    # The token of masked patches, which only the pre-training uses.
    extras = {"embeddings.mask_token": (1,) * (2 if variant.rotary else 1) + (variant.width,)}
    layers = DINOV3 if variant.rotary else DINOV2
    table = Table(TORCH, layers, CLASSIFIER, whole=DINO_WHOLE, extras=extras)
    return Network(table, {"same": Convention("same", None, size=224)}, hub_config=settings)


VITS = {name: _network(name) for name in VARIANTS if name != "clip_t8"}  # which is ours
