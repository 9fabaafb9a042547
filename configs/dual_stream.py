"""EfficientNet-B4 at 224 px and B0 at 112 px, ConvLSTM, attention fusion. 58.5M parameters.

Command:  dfjax train --config=dual_stream --workdir=runs/dual_stream --config.data.path=PACK
Hardware: any; batch 16 in bfloat16 wants an accelerator with 80 GB
Time:     full size not yet measured; :tiny 4.5 minutes on two CPU cores
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.99
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "dual_stream"
    c.model.name = "dual_stream"
    c.data.update({"frames": 10, "stride": 3, "pairing": "auto"})
    c.data.eval_clips = 0  # ours: clips cover the whole video
    c.augment.preset = "none"  # clips are resized and normalised only
    c.precision = "bfloat16"
    c.optimizer.update({"name": "adam", "learning_rate": 1e-4})
    c.early_stop.patience = 10
    c.train.batch_size = 16
    use_variant(c, variant)
    if variant:
        c.model.dual_stream.update({"hq": "b0", "lq": "b0", "lq_size": 32})
        c.model.dual_stream.dropout = (0.1, 0.1)  # less, for a quarter of the width
    return c
