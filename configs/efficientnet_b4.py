"""EfficientNet-B4 on single frames at 224 px, dropout and one hidden layer. 18.5M parameters.

A second output classifies the manipulation (real and four methods) with
--config.model.frame_classifier.method_classes=5 --config.loss.method=0.5

Command:  dfjax train --config=efficientnet_b4 --workdir=runs/b4 --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     full size not yet measured; :tiny 4 minutes of CPU time, its data included
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.94, frames 0.83
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "efficientnet_b4"
    c.model.name = "frame_classifier"
    c.data.frames = 1
    c.data.update({"sampling": "even", "train_clips": 16, "eval_clips": 16})  # ours
    c.augment.preset = "jitter_erase"
    c.loss.name = "cross_entropy"
    c.optimizer.update({"name": "adamw", "weight_decay": 1e-4})
    c.optimizer.learning_rate = 1e-4  # ours
    c.plateau.update({"patience": 3, "factor": 0.5})
    c.early_stop.update({"metric": "loss", "mode": "min", "patience": 5})
    c.train.batch_size = c.eval.batch_size = 32  # ours
    use_variant(c, variant)
    if variant:
        c.model.frame_classifier.backbone = "b0"
        # Less dropout, for a quarter of the width.
        c.model.frame_classifier.update({"input_dropout": 0.1, "dropout": (0.1,)})
    return c
