"""S2's comparison of backbones under one head, and the three together.

Command:  dfjax ablate s2 --workdir=runs/ablate_s2 --config.data.path=PACK
Hardware: as efficientnet_b4
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: every row is `efficientnet_b4` on another backbone."""
    key = "model.frame_classifier.backbone"
    del variant  # the same rows at every size
    return {
        "title": "S2: backbones",
        "config": "efficientnet_b4",
        "rows": {
            "EfficientNet-B4": (f"{key}=b4",),
            "Xception": (f"{key}=xception", "model.frame_classifier.drop_path=0.0"),
            "ResNet50": (f"{key}=resnet50", "model.frame_classifier.drop_path=0.0"),
        },
        "ensembles": {"mean of the three": ("EfficientNet-B4", "Xception", "ResNet50")},
    }
