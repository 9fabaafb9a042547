"""EfficientNet-Lite0 on single face crops at 224 px, from ImageNet weights. 3.4M parameters.

The first third of the backbone (112 and 56 px maps) is frozen, and its batch normalisation keeps
the statistics of ImageNet, which makes a training step cheap enough for a CPU. From random weights
everything must be trained:
--config.optimizer.freeze="()" --config.optimizer.multipliers="()"
--config.model.frame_classifier.base_train=True

Command:  dfjax train --config=real_faces --workdir=runs/real_faces --config.data.path=PACK \
              --config.init.backbone=LITE0.safetensors
Hardware: two CPU cores
Time:     25 minutes of CPU time (2,800 training crops of DFDC, 4 epochs)
Expected: AUC 0.890 on 800 test crops of DFDC, see the README
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns our own settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "real_faces"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update(
        {"backbone": "lite0", "base_train": False, "hidden": (), "dropout": (), "classes": 1}
    )
    c.model.frame_classifier.input_dropout = 0.2
    c.data.update({"frames": 1, "sampling": "even", "eval_clips": 16, "pairing": "auto"})
    c.preprocess.update({"mean": (0.5,) * 3, "std": (0.5,) * 3})  # of the ImageNet weights
    c.augment.preset = "compression"
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01})
    c.optimizer.freeze = ("^backbone/stem", "^backbone/stage[12]_")
    c.optimizer.multipliers = (("^backbone/", 0.2),)
    c.optimizer.clip_norm = 1.0
    c.schedule.update({"name": "cosine", "warmup_steps": 50, "final_scale": 0.01})
    c.train.update({"batch_size": 16, "epochs": 4, "ema_decay": 0.99})
    c.eval.batch_size = 32
    c.early_stop.patience = 0
    use_variant(c, variant)
    if variant:  # from random weights
        c.model.frame_classifier.base_train = True
        c.optimizer.update({"freeze": (), "multipliers": ()})
        c.train.ema_decay = 0.0
    return c
