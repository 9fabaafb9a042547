"""EfficientNet-B0, a bidirectional LSTM of width 512, mean pooling, classifier. 11.9M parameters.

Command:  dfjax train --config=hybrid --workdir=runs/hybrid --config.data.path=PACK
Hardware: any; batch 16 of 16 frames in bfloat16 wants an accelerator with 16 GB
Time:     full size not yet measured; :tiny 4.5 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic validation set: video AUC 0.97
"""

from ml_collections import ConfigDict

from dfjax.config import load_config


def get_config(variant: str = "") -> ConfigDict:
    """Returns `resnet18_bilstm` with another model; it has the same training and variants."""
    c = load_config(f"resnet18_bilstm:{variant}")
    c.name = "hybrid"
    c.model.clip_detector.update(
        {
            "projection": 1024,
            "layers": 1,
            "hidden": 512,
            "pooling": "mean",
            "classifier": (256, 128),
            "temperature": 0.7,  # published
        }
    )
    if variant:  # with ResNet18, because a B0 of this size does not learn in ten epochs
        c.model.clip_detector.dropout = (0.1, 0.1)  # less, for a quarter of the width
    else:
        c.model.clip_detector.update({"backbone": "b0", "drop_path": 0.2})
        c.model.clip_detector.dropout = (0.3, 0.3)  # ours
    return c
