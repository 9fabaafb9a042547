"""ResNet50 on frames, a CNN on flow, ConvLSTMs, temporal attention. 131.5M parameters.

Without flow, use --config.model.two_stream.flow=False --config.data.flow=False

Command:  dfjax train --config=two_stream_flow --workdir=runs/two_stream --config.data.path=PACK
Hardware: any; batch 4 of 16 frames in bfloat16 wants an accelerator
Time:     full size not yet measured; :tiny 5 minutes of CPU time on two cores, data apart
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.998
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    The stride, the pairing and the dropout of the classifier are our own choice.
    """
    c = base()
    c.name = "two_stream_flow"
    c.model.name = "two_stream"
    c.data.update({"frames": 16, "flow": True})
    c.data.update({"stride": 3, "pairing": "balanced", "eval_clips": 0})  # ours
    c.precision = "bfloat16"
    c.optimizer.update({"name": "adamw", "learning_rate": 2e-4, "weight_decay": 1e-4})
    c.plateau.patience = 5
    c.early_stop.patience = 0  # 40 epochs or more
    c.train.update({"batch_size": 4, "epochs": 40})
    use_variant(c, variant)
    if variant:
        c.model.two_stream.backbone = "resnet18"
        c.model.two_stream.dropout = (0.1,)  # less, for a quarter of the width
    if variant == "tiny":
        c.data.frames = 6
        c.train.epochs = 14
    return c
