"""MesoInception4, a detector of single frames with 28,615 parameters.

The published settings of Afchar et al. (2018): 256 px, values in [0, 1], Adam with a learning rate
of 1e-3. Their learning rate is divided by 10 every 1000 steps; here it is constant. Their batch
size is 75, which does not divide over devices; here it is 64. The paper names its augmentations
(zoom, rotation, flips, brightness and hue) without ranges; here there are none. The published
weights can be used without training: `dfjax weights import --from keras`.

Command:  dfjax train --config=mesoinception4 --workdir=runs/mesoinception4 --config.data.path=PACK
Hardware: any
Time:     not yet measured
Expected: not yet measured
"""

from ml_collections import ConfigDict

from dfjax.config import load_config


def get_config(variant: str = "") -> ConfigDict:
    """Returns `meso4` with another network; it has the same variants."""
    c = load_config(f"meso4:{variant}")
    c.name = c.model.name = "mesoinception4"
    return c
