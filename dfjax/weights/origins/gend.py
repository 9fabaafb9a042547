"""Names of the detectors of GenD (Yermakov et al., 2026), in the authors' files on the hub.

A file has a vision transformer of transformers below `feature_extractor.` and the linear layer,
whose class 1 is fake: the image tower of CLIP, or DINOv3. CLIP's projection, which the detector
does not use, is not read, and an export does not have it. The authors' Perception Encoder is none
of our networks.
"""

from typing import Any

from dfjax.models.vit_variants import VARIANTS
from dfjax.weights.convention import CLIP_MEAN, CLIP_STD, Convention
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.origin import Network, Origin
from dfjax.weights.origins.transformers_vit import (
    CLIP,
    CLIP_FILE,
    CLIP_WHOLE,
    DINO_WHOLE,
    DINOV3,
    VITS,
)

SETTINGS: dict[str, Any] = {
    "width": 1.0,
    "one_block": False,
    "unit_features": True,
    "input_norm": False,
    "hidden": (),
    "dropout": (),
    "classes": 2,
    "method_classes": 0,
}
HUB_CONFIG = {"head": "LinearNorm"}
"""The head that reads features of unit length. The authors' `linear` has the same keys."""

HEAD = {"logits": "model.linear"}
BACKBONE = "feature_extractor.backbone."


def _name_layers(layers: dict[str, str], prefix: str) -> dict[str, str]:
    return {path: prefix + name for path, name in layers.items()} | HEAD


CLIP_L14 = Network(
    Table(CLIP_FILE, _name_layers(CLIP, "feature_extractor."), whole=CLIP_WHOLE),
    {"same": Convention("same", None, CLIP_MEAN, CLIP_STD, VARIANTS["clip_l14"].size)},
    config="gend",
    settings=SETTINGS | {"backbone": "clip_l14"},
    hub_config=HUB_CONFIG | {"backbone": "openai/clip-vit-large-patch14"},
)
DINOV3_L16 = Network(
    Table(
        TORCH,
        _name_layers(DINOV3, BACKBONE),
        whole=DINO_WHOLE,
        extras={BACKBONE + key: s for key, s in VITS["dinov3_l16"].table.extras.items()},
    ),
    VITS["dinov3_l16"].conventions,
    config="gend",
    settings=SETTINGS | {"backbone": "dinov3_l16"},
    hub_config=HUB_CONFIG | {"backbone": "facebook/dinov3-vitl16-pretrain-lvd1689m"},
)

GEND = Origin(
    "gend",
    {"gend": CLIP_L14, "gend_dinov3_l16": DINOV3_L16},
    layouts="gend is the detector on CLIP L/14, gend_dinov3_l16 that on DINOv3 L/16, and those on "
    "other networks, such as Perception Encoder, cannot be read",
)
