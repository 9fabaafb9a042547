"""ResNet18 on single frames at 224 px, one logit. 11.2M parameters.

Command:  dfjax train --config=resnet18 --workdir=runs/resnet18 --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 8 GB
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    The parameters of mixup and CutMix, learning rate, weight decay, period of the schedule, batch
    size and patience are our own choice.
    """
    c = base()
    c.name = "resnet18"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update(
        {"backbone": "resnet18", "drop_path": 0.0, "hidden": (), "dropout": (), "classes": 1}
    )
    c.model.frame_classifier.input_dropout = 0.0
    c.data.update({"frames": 1, "pairing": "balanced", "balance_datasets": True})
    c.data.update({"sampling": "even", "train_clips": 16, "eval_clips": 16})  # ours
    c.augment.preset = "crop_jitter"
    c.mix.update({"mixup": 0.2, "cutmix": 1.0, "probability": 0.5})
    c.precision = "bfloat16"  # ours
    c.loss.bce.smoothing = 0.1
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-4})
    c.schedule.update({"name": "restarts", "period": 2000})
    c.early_stop.metric = "macro_f1"
    c.train.batch_size = c.eval.batch_size = 32
    use_variant(c, variant)
    return c
