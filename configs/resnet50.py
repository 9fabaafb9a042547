"""ResNet50 with the head and training of `efficientnet_b4`, for comparison with it.

Command:  dfjax train --config=resnet50 --workdir=runs/resnet50 --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import load_config


def get_config(variant: str = "") -> ConfigDict:
    """Returns `efficientnet_b4` with another backbone; it has the same variants."""
    c = load_config(f"efficientnet_b4:{variant}")
    c.name = "resnet50"
    c.model.frame_classifier.update({"backbone": "resnet50", "drop_path": 0.0})
    return c
