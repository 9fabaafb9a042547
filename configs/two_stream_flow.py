"""ResNet50 on the frames and a CNN on their flow, ConvLSTMs, temporal attention. 131.5M.

Frames only, without flow: --config.model.two_stream.flow=False --config.data.flow=False

Command:  dfjax train --config=two_stream_flow --workdir=runs/two_stream --config.data.path=PACK
Hardware: any; batch 4 of 16 frames in bfloat16 wants an accelerator
Time:     full size not yet measured; :tiny 5 minutes of CPU time on two cores, data apart
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.998
"""

from ml_collections import ConfigDict

from dfjax.config import base


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    Stride, pairing and dropout are ours: none is published.
    """
    c = base()
    c.name = "two_stream_flow"
    c.model.name = "two_stream"
    c.data.frames = 16
    c.data.flow = True
    c.data.pairing = "balanced"
    c.data.eval_clips = 0
    c.precision = "bfloat16"
    c.optimizer.update({"name": "adamw", "learning_rate": 2e-4, "weight_decay": 1e-4})
    c.plateau.patience = 5
    c.early_stop.patience = 0  # 40 epochs or more
    c.train.update({"batch_size": 4, "epochs": 40})
    if variant:
        _small(c)
    if variant == "tiny":
        c.data.synthetic.update({"videos": 2000, "identities": 200})
        c.data.frames = 6
        c.data.eval_clips = 1
        c.train.update({"batch_size": 16, "epochs": 14})
    if variant == "smoke":
        c.data.synthetic.update({"videos": 16, "identities": 8})
        c.train.update({"batch_size": 8, "epochs": 2, "log_every": 1})
        c.eval.batch_size = 8
        c.data.frames = 4
    return c


def _small(c: ConfigDict) -> None:
    """The demo's size: ResNet18 with one block per stage, a quarter of the width, 64 px."""
    c.precision = "float32"
    c.lowering = "auto"  # on CPU a step costs a sixth of the native form, and compiles as fast
    c.preprocess.size = 64
    c.data.stride = 1
    c.model.two_stream.update({"backbone": "resnet18", "width": 0.25, "one_block": True})
    c.model.two_stream.dropout = (0.1,)  # a quarter of the width leaves little to drop
    c.optimizer.learning_rate = 2e-3
    c.schedule.name = "cosine"
