"""Generates a data set of drawn, animated faces with known manipulations.

The modules in order: identity (a person) → scene (motion, expression, light and camera of one
recording) → face (one frame) → manipulations (changes to the inner face) → render (one video) →
dataset (all videos on disk with their index).
"""

from dfjax.data.synthetic.dataset import generate as generate
