"""`transformer_head` from its original published form to the improved one, step by step.

The last two rows replace the sinusoidal positions of the others. All rows use the same stored
features, so a row takes minutes.

Command:  dfjax ablate transformer_training --seeds=3 --config.data.features=FEATURES
Hardware: any
Time:     not yet measured on real data
Expected: not yet measured on real data; the README has the synthetic set
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: the first row is the original; each row keeps the changes above it."""
    del variant  # the same rows at every size
    return {
        "title": "transformer_head: original to improved",
        "config": "transformer_head",
        "cumulative": True,
        "rows": {
            "original": (
                "model.clip_detector.layers=2",
                "model.clip_detector.pooling=mean",
                "model.clip_detector.norm_first=False",
                "model.clip_detector.activation=relu",
                "loss.name=bce",
                "data.pad=end",
                "optimizer.clip_norm=0.0",
                "early_stop.min_epochs=0",
            ),
            "+ attention pooling": ("model.clip_detector.pooling=query",),
            "+ focal loss": ("loss.name=focal",),
            "+ pre-norm, GELU": (
                "model.clip_detector.norm_first=True",
                "model.clip_detector.activation=gelu",
            ),
            "+ 4 layers": ("model.clip_detector.layers=4",),
            "+ random padding": ("data.pad=random",),
            "+ clipping": ("optimizer.clip_norm=1.0",),
            "+ 10 epochs at least": ("early_stop.min_epochs=10",),
            "learned positions": ("model.clip_detector.positions=learned",),
            "no positions": ("model.clip_detector.positions=none",),
        },
    }
