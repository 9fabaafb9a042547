"""Hybrid: EfficientNet-B0, a BiLSTM of 512, mean over frames, classifier. 11.9M parameters.

Command:  dfjax train --config=hybrid --workdir=runs/hybrid --config.data.path=PACK
Hardware: any; batch 16 of 16 frames in bfloat16 wants an accelerator with 16 GB
Time:     full size not yet measured; :tiny 4.5 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic validation set: video AUC 0.97
"""

from ml_collections import ConfigDict

from dfjax.config import base


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    Stride, learning rate, batch and the classifier's dropout are ours.
    """
    c = base()
    c.name = "hybrid"
    c.model.name = "clip_detector"
    c.model.clip_detector.update(
        {
            "backbone": "b0",
            "drop_path": 0.2,
            "projection": 1024,
            "temporal": "lstm",
            "hidden": 512,
            "pooling": "mean",
            "classifier": (256, 128),
            "dropout": (0.3, 0.3),
            "temperature": 0.7,  # published; a fitted calibration replaces it
        }
    )
    c.data.frames = 16
    c.data.pairing = "balanced"
    c.data.balance_datasets = True
    c.data.eval_clips = 0
    c.augment.preset = "crop_jitter"
    c.mix.update({"mixup": 0.2, "cutmix": 1.0, "probability": 0.5})
    c.precision = "bfloat16"
    c.loss.smoothing = 0.1
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-4})
    c.schedule.update({"name": "restarts", "period": 2000})
    c.early_stop.metric = "f1"
    if variant:
        _small(c)
    if variant == "tiny":
        c.data.synthetic.update({"videos": 2000, "identities": 200})
        c.data.eval_clips = 1
        c.train.update({"batch_size": 16, "epochs": 10})
    if variant == "smoke":
        c.data.synthetic.update({"videos": 16, "identities": 8})
        c.train.update({"batch_size": 8, "epochs": 2, "log_every": 1})
        c.eval.batch_size = 8
        c.data.frames = 4
    return c


def _small(c: ConfigDict) -> None:
    """The demo's size: ResNet18 with one block per stage, a quarter of the width, 64 px.

    In ten epochs a B0 of this size learns nothing, and pairs teach faster than classes.
    """
    c.precision = "float32"
    c.lowering = "auto"  # on CPU a step costs a sixth of the native form, and compiles as fast
    c.preprocess.size = 64
    c.data.update({"frames": 8, "stride": 1})
    c.augment.preset = "flip"  # 64 px leave few cells to crop and blur
    c.mix.update({"mixup": 0.0, "cutmix": 0.0})
    c.data.pairing = "paired"
    c.data.balance_datasets = False  # there is one
    c.model.clip_detector.update({"backbone": "resnet18", "drop_path": 0.0})
    c.model.clip_detector.update({"width": 0.25, "one_block": True})
    c.model.clip_detector.dropout = (0.1, 0.1)  # a quarter of the width leaves little to drop
    c.optimizer.learning_rate = 2e-3
    c.schedule.name = "cosine"
