"""Stored detectors with random parameters, which need no training."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.config import load_config, override
from dfjax.experiment import builders
from dfjax.experiment.saved import Saved
from dfjax.models.registry import find_entry
from dfjax.weights.safetensors_file import flatten, unflatten

SPREAD = 0.2  # standard deviation of the logits
FAST = {"xla_backend_optimization_level": 0}  # each program runs once


@functools.cache
def make_saved(spec: str, unit: bool = False, overrides: tuple[str, ...] = ()) -> Saved:
    """Returns the stored detector of a config, whose logits are near 0 but differ by input.

    They do for normal inputs, or for those in [0, 1] with `unit`.
    """
    config = override(load_config(spec), overrides)
    model, rng = builders.make_model(config), np.random.default_rng(0)
    shapes = builders.example_inputs(config, 4)
    draw = rng.random if unit else rng.normal
    inputs = {
        name: jnp.ones(x.shape, bool) if x.dtype == bool else draw(size=x.shape).astype("f")
        for name, x in shapes.items()
    }
    init = jax.jit(model.init, compiler_options=FAST)
    arrays = flatten(jax.device_get(init(jax.random.key(0), inputs)))
    for path in arrays:
        if path.endswith(".scale"):  # else signals fade in deep networks
            arrays[path] = 1.5 * arrays[path]
    if not find_entry(config.model.name).generates:
        apply = functools.partial(model.apply, train=False, rngs=None)
        logits, _, _ = jax.jit(apply, compiler_options=FAST)(unflatten(arrays), inputs)
        (path,) = (p for p in arrays if p.endswith((".logits.kernel", ".classifier_logit.kernel")))
        scale = np.float32(SPREAD / np.std(logits))
        arrays[path] = arrays[path] * scale
        bias = path.replace("kernel", "bias")
        shift = np.float32(np.mean(logits) * scale)
        arrays[bias] = arrays[bias] - (np.array([0, shift]) if arrays[bias].size == 2 else shift)
        arrays[bias] = arrays[bias].astype(np.float32)
    return Saved(config, unflatten(arrays), None, "best/12", "0" * 64, (), Path("runs/w"))
