"""The training step of a config, lowered for devices that need not exist."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from dfjax import FAKE, REAL
from dfjax.experiment import builders
from dfjax.experiment.parts import Parts, assemble_parts, jit_train_step, make_config_mesh
from dfjax.training.sharding import BATCH_SPEC

STEPS = 1000  # per epoch: only schedules depend on it
_INDEX = pd.DataFrame({"label": [REAL, FAKE], "method": ["real", "fake"]})


def describe_parts(config: ConfigDict, devices: Sequence[jax.Device]) -> Parts:
    """Returns the parts of a run of `config`, of data with one method, on `devices`.

    The crops of the data have the side of the model's images.

    Args:
        config: Config of the run.
        devices: Devices of the mesh, as many as `config.mesh` says.

    Raises:
        UsageError: A name is unknown, or a batch does not divide over the devices.
    """
    mesh = make_config_mesh(config, devices)
    rows = np.arange(len(_INDEX))
    side = config.preprocess.size
    return assemble_parts(config, mesh, _INDEX, rows, steps_per_epoch=STEPS, crop_size=side)


def lower_train_step(config: ConfigDict, parts: Parts) -> Any:
    """Returns the lowered training step, which `.compile()` compiles for the devices of the mesh.

    Args:
        config: Config of the run.
        parts: Parts of the run, from `describe_parts`.
    """
    batch = builders.example_batch(config, config.train.batch_size, config.preprocess.size)
    split, whole = (NamedSharding(parts.mesh, spec) for spec in (BATCH_SPEC, PartitionSpec()))
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.tree.map(_place, parts.shapes, parts.shardings)
    batch = jax.tree.map(lambda leaf: _place(leaf, split), batch)
    step: Any = jit_train_step(config, parts)
    return step.lower(state, batch, _place(key, whole))


def _place(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def clips_per_chip(config: ConfigDict, parts: Parts) -> int:
    """Returns the number of clips of a batch on each device of the mesh."""
    return config.train.batch_size // math.prod(parts.mesh.devices.shape)
