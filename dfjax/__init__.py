"""Deepfake-video detectors and a de-faking GAN in JAX.

Importing the package is cheap: neither JAX nor TensorFlow is loaded until something needs it.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dfjax.inference.detector import load as load

FAKE = 1
REAL = 0


def __getattr__(name: str) -> Any:
    """Returns `dfjax.load`, imported on first use so that `import dfjax` stays light."""
    if name == "load":
        from dfjax.inference.detector import load

        return load
    raise AttributeError(f"module 'dfjax' has no attribute {name!r}")
