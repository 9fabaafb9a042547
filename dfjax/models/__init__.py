"""Detectors as pairs of pure functions over plain parameter trees; `MODELS` lists them."""

from dfjax.models.registry import MODELS as MODELS
from dfjax.models.registry import ModelFns as ModelFns
from dfjax.models.registry import build as build
