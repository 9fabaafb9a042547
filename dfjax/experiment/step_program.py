"""The training step of a config, traced and lowered for devices that need not exist."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from dfjax import FAKE, REAL
from dfjax.config import load_config, model_options
from dfjax.config_overrides import Overrides
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment.config_check import check_config
from dfjax.experiment.parts import Parts, assemble_parts, jit_train_step, make_config_mesh
from dfjax.training.optimizers import match_frozen
from dfjax.training.sharding import AXES, BATCH_SPEC

STEPS = 1000  # per epoch: only schedules depend on it
_INDEX = pd.DataFrame({"label": [REAL, FAKE], "method": ["real", "fake"]})


class TracedStep(NamedTuple):
    """A traced training step and its sizes.

    Attributes:
        program: The traced step, which `.lower().compile()` compiles for its devices.
        batch: Number of clips per step.
        frames: Number of frames per clip that backbones read; 0 with stored features.
        state_bytes: Bytes on each device of `params`, `optimizer`, `other` (statistics of batch
            normalisation, averaged parameters, discriminator) and `batch`, without padding.
        statistics: Number of arrays of statistics of batch normalisation.
        parameter_bytes: Bytes of the parameters of the model, which devices may hold in parts.
        gradient_bytes: Bytes of those that are trained. An adapter outside of the blocks of a
            vision transformer counts as such, though the gradient of its kernel is summed.
    """

    program: Any
    batch: int
    frames: int
    state_bytes: dict[str, int]
    statistics: int
    parameter_bytes: int
    gradient_bytes: int


def trace_config_step(
    spec: str,
    overrides: Overrides,
    devices: Sequence[jax.Device],
    *,
    mesh: tuple[int, int, int],
    lowering: str = "",
    remat: str = "",
) -> TracedStep:
    """Returns the training step of a config, traced for devices that need not exist.

    Args:
        spec: Name or file of the config, with variants.
        overrides: Overrides of its keys.
        devices: Devices of the mesh.
        mesh: Sizes of the axes `data`, `fsdp` and `tensor`.
        lowering: Lowering of convolutions; empty for that of the config.
        remat: What the backward pass recomputes (see `dfjax.models.remat`); empty for what the
            config says.

    Raises:
        UsageError: A name or value is wrong, or the batch does not divide over the devices.
    """
    config = load_config(spec, overrides)
    with config.unlocked():
        config.mesh.update(dict(zip(AXES, mesh)))
        config.eval.batch_size = len(devices)  # evaluation is no part of the step
        config.lowering = lowering or config.lowering
        if remat:
            _set_remat(config, remat)
    check_config(config)
    parts = describe_parts(config, devices)
    return TracedStep(
        program=trace_train_step(config, parts),
        batch=config.train.batch_size,
        frames=config.data.frames if "clip" in parts.example else 0,
        state_bytes=_count_state(config, parts),
        statistics=len(jax.tree.leaves(parts.shapes.batch_stats)),
        **_count_parameters(config, parts),
    )


def _count_parameters(config: ConfigDict, parts: Parts) -> dict[str, int]:
    params = parts.shapes.params
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params)]
    frozen = jax.tree.leaves(match_frozen(params, builders.frozen_patterns(config)))
    return {
        "parameter_bytes": sum(sizes),
        "gradient_bytes": sum(size for size, fixed in zip(sizes, frozen) if not fixed),
    }


def _set_remat(config: ConfigDict, policy: str) -> None:
    options = model_options(config)
    if "remat" not in options:
        raise UsageError(f"the model {config.model.name} has no option remat")
    options.remat = policy


def _count_state(config: ConfigDict, parts: Parts) -> dict[str, int]:
    def held(*names: str) -> int:
        trees = [(getattr(parts.shapes, name), getattr(parts.shardings, name)) for name in names]
        sizes = [
            math.prod(at.shard_shape(leaf.shape)) * leaf.dtype.itemsize
            for shapes, shardings in trees
            for leaf, at in zip(jax.tree.leaves(shapes), jax.tree.leaves(shardings))
        ]
        return sum(sizes)

    batch = builders.example_batch(config, clips_per_chip(config, parts), config.preprocess.size)
    return {
        "params": held("params"),
        "optimizer": held("opt_state"),
        "other": held("batch_stats", "ema", "adversary"),
        "batch": sum(leaf.size * leaf.dtype.itemsize for leaf in batch.values()),
    }


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
    return trace_train_step(config, parts).lower()


def trace_train_step(config: ConfigDict, parts: Parts) -> Any:
    """Returns the traced training step, which `.lower()` lowers for the devices of the mesh.

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
    frozen = jax.tree.map(lambda leaf: _place(leaf, whole), parts.frozen)
    return step.trace(state, batch, _place(key, whole), *frozen)


def _place(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def clips_per_chip(config: ConfigDict, parts: Parts) -> int:
    """Returns the number of clips of a batch on each device of the mesh."""
    return config.train.batch_size // math.prod(parts.mesh.devices.shape)
