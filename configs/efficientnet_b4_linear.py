"""EfficientNet-B4 and a linear layer, as in DeepfakeBench and SBI. 17.6M parameters.

The settings are those of DeepfakeBench: 256 px, values normalised to [-1, 1], an unpadded stem,
Adam with learning rate 2e-4 and L2 weight decay 5e-4, batch size 32, ten epochs with 32 frames of
every video, and 32 frames of every video in evaluation. The B4 of SBI has 380 px, values in [0, 1]
and the padding of efficientnet_pytorch:
--config.preprocess.size=380 --config.preprocess.mean=(0,0,0) --config.preprocess.std=(1,1,1)
--config.model.frame_classifier.padding=static

Command:  dfjax train --config=efficientnet_b4_linear --workdir=runs/linear --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the settings of DeepfakeBench, or the small variants `smoke` and `tiny`."""
    c = base()
    c.name = "efficientnet_b4_linear"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update({"padding": "dfb_stem_valid", "hidden": (), "dropout": ()})
    c.model.frame_classifier.input_dropout = 0.0
    c.data.update({"frames": 1, "sampling": "even", "train_clips": 32, "eval_clips": 32})
    c.augment.preset = "deepfakebench"
    c.preprocess.update({"size": 256, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
    c.loss.name = "cross_entropy"
    c.optimizer.update({"learning_rate": 2e-4, "weight_decay": 5e-4, "no_decay": ()})
    c.early_stop.patience = 0  # all ten epochs
    c.train.update({"batch_size": 32, "epochs": 10})
    c.eval.batch_size = 32
    use_variant(c, variant)
    if variant:
        c.model.frame_classifier.backbone = "b0"
    return c
