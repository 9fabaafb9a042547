"""Names of the detectors of GenD (Yermakov et al., 2026), in the authors' files on the hub.

A file has the image tower of CLIP below `feature_extractor.` and the linear layer. Its projection,
which the detector does not use, is not read, and an export does not have it. Class 1 is fake.
"""

from typing import Any

from dfjax.models.vit_variants import VARIANTS
from dfjax.weights.convention import CLIP_MEAN, CLIP_STD, Convention
from dfjax.weights.key_table import Table
from dfjax.weights.origin import Network, Origin
from dfjax.weights.origins.transformers_vit import CLIP, CLIP_FILE, CLIP_WHOLE

SETTINGS: dict[str, Any] = {
    "backbone": "clip_l14",
    "width": 1.0,
    "one_block": False,
    "unit_features": True,
    "input_norm": False,
    "hidden": (),
    "dropout": (),
    "classes": 2,
    "method_classes": 0,
}
LAYERS = {path: f"feature_extractor.{name}" for path, name in CLIP.items()}

NETWORK = Network(
    Table(CLIP_FILE, LAYERS | {"logits": "model.linear"}, whole=CLIP_WHOLE),
    {"same": Convention("same", None, CLIP_MEAN, CLIP_STD, VARIANTS["clip_l14"].size)},
    config="gend",
    settings=SETTINGS,
)

GEND = Origin("gend", {"gend": NETWORK})
