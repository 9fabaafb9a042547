"""EfficientNetV2-S with the head and training of `efficientnet_b4`.

Command:  dfjax train --config=efficientnet_v2s --workdir=runs/v2s --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import load_config


def get_config(variant: str = "") -> ConfigDict:
    """Returns `efficientnet_b4` with another backbone; it has the same variants."""
    c = load_config(f"efficientnet_b4:{variant}")
    c.name = "efficientnet_v2s"
    c.model.frame_classifier.backbone = "v2s"
    return c
