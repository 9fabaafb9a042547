"""ResNet18, a bidirectional LSTM of two layers, temporal attention. 14.3M parameters.

Command:  dfjax train --config=resnet18_bilstm --workdir=runs/bilstm --config.data.path=PACK
Hardware: any; batch 16 of 16 frames in bfloat16 wants an accelerator with 16 GB
Time:     full size not yet measured; :tiny 6 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic validation set: video AUC 0.99
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    The stride, the parameters of mixup and CutMix, learning rate, weight decay, period of the
    schedule, batch size and patience are our own choice.
    """
    c = base()
    c.name = "resnet18_bilstm"
    c.model.name = "clip_detector"
    c.model.clip_detector.update(
        {
            "backbone": "resnet18",
            "temporal": "lstm",
            "layers": 2,
            "hidden": 256,
            "pooling": "attention",
        }
    )
    c.data.update({"frames": 16, "pairing": "balanced", "balance_datasets": True})
    c.data.update({"stride": 3, "eval_clips": 0})  # ours
    c.augment.preset = "crop_jitter"
    c.mix.update({"mixup": 0.2, "cutmix": 1.0, "probability": 0.5})
    c.precision = "bfloat16"  # ours
    c.loss.bce.smoothing = 0.1
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-4})
    c.schedule.update({"name": "restarts", "period": 2000})
    c.early_stop.metric = "macro_f1"
    c.train.batch_size = 16
    use_variant(c, variant)
    if variant:
        c.data.pairing = "auto"  # models learn faster from pairs
    if variant == "tiny":
        c.data.frames = 8
    return c
