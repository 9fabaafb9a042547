"""A Transformer over the stored features of 32 frames, attention pooling. 2.4M parameters.

The features are those of EfficientNet-B0 and are stored once by `dfjax data features`. To train the
backbone too, on frames, use --config.model.clip_detector.features=0 --config.data.path=PACK. The
variants `smoke` and `tiny` do so and need no stored features.

Command:  dfjax train --config=transformer_head --workdir=runs/head --config.data.features=FEATURES
Hardware: any; a laptop CPU will do
Time:     full size not yet measured; :tiny 5 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic validation set: video AUC 0.99
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    The number of frames, learning rate, weight decay, batch size and patience are our own choice.
    """
    c = base()
    c.name = "transformer_head"
    c.model.name = "clip_detector"
    c.model.clip_detector.update(
        {
            "features": 1280,
            "backbone": "b0",
            "projection": 256,
            "temporal": "transformer",
            "layers": 4,
            "heads": 4,
            "feed_forward": 512,
            "temporal_dropout": 0.1,
            "pooling": "query",
        }
    )
    c.data.pad = "random"
    c.data.update({"frames": 32, "eval_clips": 0})  # ours
    c.loss.name = "focal"
    c.loss.focal.update({"alpha": 0.5, "gamma": 2.0})
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-2})  # ours
    c.optimizer.clip_norm = 1.0
    c.early_stop.min_epochs = 10
    c.train.batch_size = 16  # ours
    c.seed = 42
    use_variant(c, variant)
    if variant:
        c.seed = 0  # with 42 the splits of the synthetic set have near duplicates
        c.data.pairing = "auto"  # models learn faster from pairs
        # ResNet18, because a B0 of this size does not learn in ten epochs.
        c.model.clip_detector.update({"features": 0, "backbone": "resnet18", "layers": 2})
        c.optimizer.learning_rate = 1e-3
    if variant == "tiny":
        c.data.frames = 8
    return c
