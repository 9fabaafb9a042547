"""ResNet18 on single frames at 224 px, one logit. 11.2M parameters.

Command:  dfjax train --config=resnet18 --workdir=runs/resnet18 --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 8 GB
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import base


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    Learning rate and batch are ours: none is published.
    """
    c = base()
    c.name = "resnet18"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update(
        {"backbone": "resnet18", "drop_path": 0.0, "hidden": (), "dropout": (), "classes": 1}
    )
    c.model.frame_classifier.input_dropout = 0.0
    c.data.frames = 1
    c.data.sampling = "even"
    c.data.train_clips = 16
    c.data.eval_clips = 16
    c.data.pairing = "balanced"
    c.data.balance_datasets = True
    c.augment.preset = "crop_jitter"
    c.mix.update({"mixup": 0.2, "cutmix": 1.0, "probability": 0.5})
    c.precision = "bfloat16"
    c.loss.smoothing = 0.1
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-4})
    c.schedule.update({"name": "restarts", "period": 2000})
    c.early_stop.metric = "f1"
    c.train.batch_size = 32
    c.eval.batch_size = 32
    if variant:
        _small(c)
    if variant == "tiny":
        c.data.synthetic.update({"videos": 2000, "identities": 200})
        # A frame shows a forgery half of the time: many frames, and its real twin beside each.
        c.data.update({"pairing": "paired", "train_clips": 4})
        c.train.update({"batch_size": 32, "epochs": 20})
    if variant == "smoke":
        c.data.synthetic.update({"videos": 16, "identities": 8})
        c.data.eval_clips = 2
        c.train.update({"batch_size": 8, "epochs": 2, "log_every": 1})
        c.eval.batch_size = 8
    return c


def _small(c: ConfigDict) -> None:
    """The demo's size: one block per stage, a quarter of the width, 64 px."""
    c.precision = "float32"
    c.lowering = "auto"  # on CPU a step costs a sixth of the native form, and compiles as fast
    c.preprocess.size = 64
    c.data.update({"train_clips": 1, "eval_clips": 4})
    c.augment.preset = "flip"  # 64 px leave few cells to crop and blur
    c.mix.update({"mixup": 0.0, "cutmix": 0.0})
    c.model.frame_classifier.update({"width": 0.25, "one_block": True})
    c.optimizer.learning_rate = 2e-3
    c.schedule.name = "cosine"
    c.early_stop.patience = 0
