"""Meso4, a detector of single frames with 27,977 parameters.

The published settings of Afchar et al. (2018): 256 px, values in [0, 1], Adam with a learning rate
of 1e-3. Their learning rate is divided by 10 every 1000 steps; here it is constant. Their batch
size is 75, which does not divide over devices; here it is 64. The paper names its augmentations
(zoom, rotation, flips, brightness and hue) without ranges; here there are none. The published
weights can be used without training: `dfjax weights import --from keras`.

Command:  dfjax train --config=meso4 --workdir=runs/meso4 --config.data.path=PACK
Hardware: any
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = c.model.name = "meso4"
    c.data.update({"frames": 1, "sampling": "even", "train_clips": 16, "eval_clips": 16})  # ours
    c.preprocess.update({"size": 256, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    c.optimizer.learning_rate = 1e-3
    c.train.batch_size = c.eval.batch_size = 64  # ours
    use_variant(c, variant)
    return c
