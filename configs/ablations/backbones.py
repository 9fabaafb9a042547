"""Three backbones with the head of `efficientnet_b4`, and the ensemble of the three detectors.

Command:  dfjax ablate backbones --workdir=runs/backbones --config.data.path=PACK
Hardware: as efficientnet_b4
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: every row is `efficientnet_b4` with another backbone."""
    key = "model.frame_classifier.backbone"
    del variant  # the same rows at every size
    return {
        "title": "efficientnet_b4: backbones",
        "config": "efficientnet_b4",
        "rows": {
            "EfficientNet-B4": (f"{key}=b4",),
            "Xception": (f"{key}=xception", "model.frame_classifier.drop_path=0.0"),
            "ResNet50": (f"{key}=resnet50", "model.frame_classifier.drop_path=0.0"),
        },
        "ensembles": {"mean of the three": ("EfficientNet-B4", "Xception", "ResNet50")},
    }
