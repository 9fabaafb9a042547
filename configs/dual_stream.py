"""EfficientNet-B4 at 224 px and B0 at 112 px, ConvLSTM, attention fusion. 58.5M parameters.

Command:  dfjax train --config=dual_stream --workdir=runs/dual_stream --config.data.path=PACK
Hardware: any; batch 16 in bfloat16 wants an accelerator with 80 GB
Time:     full size not yet measured; :tiny 4.5 minutes on two CPU cores
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.99
"""

from ml_collections import ConfigDict

from dfjax.config import base


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "dual_stream"
    c.model.name = "dual_stream"
    c.data.pairing = "paired"
    c.data.eval_clips = 0
    c.augment.preset = "none"  # published: resized and normalised only
    c.precision = "bfloat16"
    if variant:
        _small(c)
    if variant == "tiny":
        # Few videos are learnt by heart: 700 videos of 100 people gave a validation AUC of 0.66.
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
    """The demo's size: one block per stage, a quarter of the width, 64 px."""
    c.precision = "float32"
    c.lowering = "auto"  # on CPU a step costs a sixth of the native form, and compiles as fast
    c.preprocess.size = 64
    c.augment.preset = "flip"  # few videos are seen more often
    c.data.stride = 1
    c.model.dual_stream.update(
        {"hq": "b0", "lq": "b0", "lq_size": 32, "width": 0.25, "one_block": True, "drop_path": 0.0}
    )
    c.model.dual_stream.dropout = (0.1, 0.1)  # a quarter of the width leaves little to drop
    c.optimizer.learning_rate = 2e-3
    c.schedule.name = "cosine"
