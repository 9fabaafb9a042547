"""Detectors as pure functions: `build(name, **options)` returns `ModelFns(init, apply)`."""

from dfjax.models.model_fns import ModelFns, build
from dfjax.models.registry import MODELS, input_extras, input_shapes, input_streams

__all__ = ["MODELS", "ModelFns", "build", "input_extras", "input_shapes", "input_streams"]
