"""Reads, writes and merges the parameters of models, in our own files and in those of others.

`load` and `save` convert between our parameters and the files of timm, torchvision,
efficientnet_pytorch, Keras and DeepfakeBench. They are imported on first use.

    weights = dfjax.weights.load("tf_efficientnet_b4_ns.pth", "timm", "b4")
    dfjax.weights.save("b4.pth", weights.variables, "timm", "b4", weights.convention)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfjax.weights.loading import load as load
    from dfjax.weights.saving import save as save

INTERFACE = {"load": "dfjax.weights.loading", "save": "dfjax.weights.saving"}
"""The functions of the package, with the modules that they are imported from on use."""


def __getattr__(name: str) -> Any:
    """Returns a function of the package, which is imported on first use."""
    if name in INTERFACE:
        return getattr(importlib.import_module(INTERFACE[name]), name)
    raise AttributeError(f"module 'dfjax.weights' has no attribute {name!r}")
