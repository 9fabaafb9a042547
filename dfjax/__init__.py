"""Trains, evaluates and applies deepfake-video detectors in JAX.

The Python interface:

  data = dfjax.prepare("videos/", "work/data", adapter="folder")
  config = dfjax.load_config("hybrid:tiny", {"data.path": data})
  run = dfjax.train(config, "runs/first")
  report = dfjax.evaluate("runs/first")
  verdict = dfjax.load("runs/first")("clip.mp4")

Importing the package does not import JAX; functions are imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dfjax.config import load_config as load_config
    from dfjax.data.synthetic.samples import synthesise as synthesise
    from dfjax.evaluation.comparison.detectors import compare as compare
    from dfjax.experiment.prepare import prepare as prepare
    from dfjax.experiment.train import train as train
    from dfjax.inference.defake import defake as defake
    from dfjax.inference.detector import load as load
    from dfjax.inference.evaluate import evaluate as evaluate
    from dfjax.inference.explain import explain as explain
    from dfjax.inference.export import export as export
    from dfjax.inference.predict import predict as predict
    from dfjax.inference.reporting.report import report as report
    from dfjax.studies.hardening import harden as harden

FAKE = 1
REAL = 0

INTERFACE = {
    "compare": "dfjax.evaluation.comparison.detectors",
    "defake": "dfjax.inference.defake",
    "evaluate": "dfjax.inference.evaluate",
    "explain": "dfjax.inference.explain",
    "export": "dfjax.inference.export",
    "harden": "dfjax.studies.hardening",
    "load": "dfjax.inference.detector",
    "load_config": "dfjax.config",
    "prepare": "dfjax.experiment.prepare",
    "predict": "dfjax.inference.predict",
    "report": "dfjax.inference.reporting.report",
    "synthesise": "dfjax.data.synthetic.samples",
    "train": "dfjax.experiment.train",
}
"""The functions of the Python interface, with the modules that they are imported from on use."""


def __getattr__(name: str) -> Any:
    """Returns a function of the interface, which is imported on first use."""
    if name in INTERFACE:
        return getattr(importlib.import_module(INTERFACE[name]), name)
    if name == "weights":
        return importlib.import_module("dfjax.weights")
    raise AttributeError(f"module 'dfjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the names in the package, including those that are imported on first use."""
    return sorted({*globals(), *INTERFACE})
