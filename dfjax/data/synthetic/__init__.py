"""An embedded data set of drawn, animated faces with known manipulations.

identity (who) → scene (pose, expression, light, camera) → face (one frame) → manipulations (what a
forger does to the inner face) → dataset (many videos on disk, with their index).
"""

from dfjax.data.synthetic.dataset import generate as generate
