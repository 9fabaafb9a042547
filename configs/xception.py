"""Xception with the head and training of `efficientnet_b4`, for comparison with it.

The original input size of Xception is 299 px; the published comparison has 224 px for all.

Command:  dfjax train --config=xception --workdir=runs/xception --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import load_config


def get_config(variant: str = "") -> ConfigDict:
    """Returns `efficientnet_b4` with another backbone; it has the same variants."""
    c = load_config(f"efficientnet_b4:{variant}")
    c.name = "xception"
    c.model.frame_classifier.update({"backbone": "xception", "drop_path": 0.0})
    return c
