"""From a small network to `efficientnet_b4_380`: B0, B4 at 380 px, focal loss, class weights.

Command:  dfjax ablate efficientnet_b4_380_steps --config.data.path=PACK
Hardware: as efficientnet_b4_380
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: each row keeps the changes of the rows above it.

    The first network is a ResNet18 with one block per stage, trained end to end at 224 px, since
    the published one is not described.
    """
    model = "model.frame_classifier"
    small, large = (64, 64) if variant else (224, 380)
    return {
        "title": "efficientnet_b4_380: step by step",
        "config": "efficientnet_b4_380",
        "cumulative": True,
        "rows": {
            "basic CNN": (
                f"{model}.backbone=resnet18",
                f"{model}.one_block=True",
                f"{model}.drop_path=0.0",
                f"{model}.base_train=True",
                "optimizer.freeze=()",
                "phases=()",
                f"preprocess.size={small}",
                "loss.name=bce",
                "loss.class_weights=none",
            ),
            "EfficientNet-B0": (
                f"{model}.backbone=b0",
                f"{model}.one_block={bool(variant)}",
                f"{model}.drop_path={0.0 if variant else 0.2}",
            ),
            "EfficientNet-B4 at 380": (f"{model}.backbone=b4", f"preprocess.size={large}"),
            "+ focal loss": ("loss.name=focal",),
            "+ class weights": ("loss.class_weights=balanced",),
        },
    }
