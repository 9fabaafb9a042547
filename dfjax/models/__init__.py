"""Detectors as pure functions: `build(name, **options)` gives `ModelFns(init, apply)`."""

from dfjax.models.registry import (
    MODELS,
    ModelFns,
    build,
    input_extras,
    input_shapes,
    input_streams,
)

__all__ = ["MODELS", "ModelFns", "build", "input_extras", "input_shapes", "input_streams"]
