"""EfficientNet-B4 on single frames at 224 px, dropout and one hidden layer. 18.5M parameters.

What manipulation it is, as a second output (real and four methods):
--config.model.frame_classifier.method_classes=5 --config.loss.method=0.5

Command:  dfjax train --config=efficientnet_b4 --workdir=runs/b4 --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     full size not yet measured; :tiny 4 minutes of CPU time, its data included
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.94, frames 0.83
"""

from ml_collections import ConfigDict

from dfjax.config import base


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    Learning rate and batch are ours: none is published.
    """
    c = base()
    c.name = "efficientnet_b4"
    c.model.name = "frame_classifier"
    c.data.frames = 1
    c.data.sampling = "even"
    c.data.train_clips = 16
    c.data.eval_clips = 16
    c.augment.preset = "jitter_erase"
    c.loss.name = "cross_entropy"
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-4})
    c.plateau.patience = 3
    c.early_stop.update({"metric": "loss", "mode": "min", "patience": 5})
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
    c.lowering = "auto"  # on CPU a step costs a sixth of the native form, and compiles as fast
    c.preprocess.size = 64
    c.data.update({"train_clips": 1, "eval_clips": 4})
    c.augment.preset = "flip"  # 64 px leave few cells to rotate, blur and erase
    c.model.frame_classifier.update(
        {"backbone": "b0", "width": 0.25, "one_block": True, "drop_path": 0.0}
    )
    # A quarter of the width leaves little to drop.
    c.model.frame_classifier.update({"input_dropout": 0.1, "dropout": (0.1,)})
    c.optimizer.learning_rate = 2e-3
    c.schedule.name = "cosine"
    c.early_stop.patience = c.plateau.patience = 0
