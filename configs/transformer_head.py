"""A Transformer over the stored features of 32 frames, attention pooling. 2.4M parameters.

The features are of EfficientNet-B0, stored once by `dfjax data features`. End to end from frames
instead, the backbone trained with the head: --config.model.clip_detector.features=0
--config.data.path=PACK; the variants `smoke` and `tiny` do that, so they need no features.

Command:  dfjax train --config=transformer_head --workdir=runs/head --config.data.features=FEATURES
Hardware: any; a laptop CPU will do
Time:     full size not yet measured; :tiny 5 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic validation set: video AUC 0.99
"""

from ml_collections import ConfigDict

from dfjax.config import base


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    Frames, learning rate, weight decay and batch are ours: none is published.
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
    c.data.update({"frames": 32, "pad": "random", "eval_clips": 0})
    c.loss.update({"name": "focal", "alpha": 0.5, "gamma": 2.0})
    c.optimizer.update({"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-2})
    c.optimizer.clip_norm = 1.0
    c.early_stop.min_epochs = 10
    c.seed = 42
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
    """The demo's size: end to end, ResNet18 with a block per stage, a quarter of the width, 64 px.

    In ten epochs a B0 of this size learns nothing, and pairs teach faster than classes.
    """
    c.lowering = "auto"  # on CPU a step costs a sixth of the native form, and compiles as fast
    c.preprocess.size = 64
    c.seed = 0  # also of the synthetic set, of which 42 has look-alikes on both sides of a split
    c.data.update({"frames": 8, "stride": 1, "pairing": "paired"})
    c.model.clip_detector.update({"features": 0, "backbone": "resnet18", "layers": 2})
    c.model.clip_detector.update({"width": 0.25, "one_block": True})
    c.optimizer.learning_rate = 1e-3
    c.schedule.name = "cosine"
