"""The parts of a run: model, loss, optimiser, schedule, mesh, shardings and step."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
import pandas as pd
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from dfjax import processes
from dfjax.config import model_options
from dfjax.data.clips.pipeline import batches_per_epoch
from dfjax.data.store.frame_store import FrameStore
from dfjax.experiment import builders, run_data
from dfjax.experiment.generator_check import is_generator
from dfjax.experiment.generator_parts import (
    Adversary,
    Task,
    make_generator_step,
    make_generator_task,
)
from dfjax.experiment.objective import check_outputs, make_config_loss
from dfjax.models import ModelFns
from dfjax.models.adapters import Adapter
from dfjax.models.entry import Rules
from dfjax.models.registry import find_sharding_rules
from dfjax.shapes import Preprocess
from dfjax.training import sharding
from dfjax.training.detector_step import make_gradient_fn, make_train_step
from dfjax.training.device_groups import check_groups, read_group, split_over_groups
from dfjax.training.optimizers import make_tx
from dfjax.training.run_state import Plan
from dfjax.training.schedules import make_schedule
from dfjax.training.state import TrainState, TrainStep, make_init_state

Rows = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of a run that depend only on its config and data.

    Attributes:
        model: Model.
        preprocess: Function that turns a batch into the inputs of the model.
        objective: Function that computes the terms of the loss, or the loss of a generator.
        tx: Gradient transformation.
        schedule: Learning-rate schedule.
        plan: Lengths and intervals of the run.
        mesh: Device mesh.
        init: Function that initialises the training state.
        example: Shapes and dtypes of a batch of one clip, for initialisation.
        shapes: Shapes and dtypes of the training state.
        shardings: Sharding of each leaf of the training state.
        root_rng: Key that all random keys of the run are derived from.
        adversary: Discriminator of a generator, and fixed networks of its loss; None for detectors.
        adapter: Settings of the adapters of the model.
    """

    model: ModelFns
    preprocess: Preprocess
    objective: Any
    tx: optax.GradientTransformation
    schedule: optax.Schedule
    plan: Plan
    mesh: Mesh
    init: Callable[..., TrainState]
    example: dict[str, Any]
    shapes: TrainState
    shardings: TrainState
    root_rng: Any
    adversary: Adversary | None = None
    adapter: Adapter = Adapter()

    @property
    def frozen(self) -> tuple[Any, ...]:
        """Further arguments of the training step: the variables of fixed networks, if any."""
        return (self.adversary.frozen,) if self.adversary else ()

    @property
    def notes(self) -> list[str]:
        """Lines about fixed networks, for the log."""
        return self.adversary.notes if self.adversary else []


def make_parts(config: ConfigDict, pack: FrameStore, rows: Rows) -> Parts:
    """Returns the parts of a run without compiling anything.

    Args:
        config: Config of the run.
        pack: Data of the run.
        rows: Positions of the videos in the index, by split.

    Raises:
        UsageError: A name is unknown, a batch size is not divisible by the number of devices, the
            monitored metric is undefined, or a mask loss has no masks.
    """
    run_data.check_validation(pack, rows["val"], config.early_stop.metric)
    run_data.check_masks(pack, rows["train"], config)
    mesh = make_config_mesh(config)
    steps = batches_per_epoch(pack, rows["train"], builders.make_epoch_options(config))
    return assemble_parts(
        config, mesh, pack.index, rows["train"], steps_per_epoch=steps, crop_size=pack.crop_size
    )


def assemble_parts(
    config: ConfigDict,
    mesh: Mesh,
    index: pd.DataFrame,
    rows: np.ndarray,
    *,
    steps_per_epoch: int,
    crop_size: int,
) -> Parts:
    """Returns the parts of a run on `mesh`, whose devices may be those of another machine.

    Args:
        config: Config of the run.
        mesh: Device mesh.
        index: Index of the data.
        rows: Positions of the training videos in the index.
        steps_per_epoch: Number of batches per epoch.
        crop_size: Side of the crops in pixels.

    Raises:
        UsageError: A name is unknown, or the loss reads what the model does not return.
    """
    plan = _make_plan(config, steps_per_epoch)
    schedule = make_schedule(
        **config.schedule,
        learning_rate=config.optimizer.learning_rate,
        total_steps=steps_per_epoch * plan.epochs,
    )
    options = builders.tx_options(config) | {"freeze": builders.frozen_patterns(config)}
    tx = make_tx(schedule=schedule, **options)
    platform = mesh.devices.flat[0].platform
    model = builders.make_model(config, platform=platform)
    if is_generator(config):
        task = make_generator_task(config, model, tx, schedule, platform=platform)
    else:
        task = _make_detector_task(config, model, tx, index, rows, crop_size)
    example = builders.example_batch(config, 1, crop_size)
    root_rng = jax.random.key(config.seed)
    shapes = jax.eval_shape(task.init, root_rng, example)
    return Parts(
        model=model,
        preprocess=task.preprocess,
        objective=task.objective,
        tx=tx,
        schedule=schedule,
        plan=plan,
        mesh=mesh,
        init=task.init,
        example=example,
        shapes=shapes,
        shardings=sharding.state_shardings(shapes, mesh, sharding_rules(config, mesh)),
        root_rng=root_rng,
        adversary=task.adversary,
        adapter=builders.config_adapter(config),
    )


def _make_detector_task(
    config: ConfigDict,
    model: ModelFns,
    tx: optax.GradientTransformation,
    index: pd.DataFrame,
    rows: np.ndarray,
    crop_size: int,
) -> Task:
    preprocess = builders.make_config_preprocess(config)
    objective = make_config_loss(config, index, rows)
    check_outputs(config, model, objective, crop_size)
    init = make_init_state(
        model.init,
        preprocess,
        tx,
        ema=config.train.ema_decay > 0,
        videos=len(index) if config.data.hard_mining else 0,
    )
    return Task(preprocess, objective, init)


def _make_plan(config: ConfigDict, steps_per_epoch: int) -> Plan:
    """Returns the lengths and intervals of a run."""
    return Plan(
        steps_per_epoch=steps_per_epoch,
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        log_every=config.train.log_every,
        save_every=config.checkpoint.every_steps,
        max_skipped=config.train.max_skipped,
    )


def make_config_mesh(config: ConfigDict, devices: Sequence[jax.Device] = ()) -> Mesh:
    """Returns the mesh of `config.mesh`, over which the batches of the config divide.

    Args:
        config: Config of the run.
        devices: Devices of the mesh; empty for all of this process.

    Raises:
        UsageError: There are not that many devices, or a batch does not divide.
    """
    mesh = sharding.make_mesh(**config.mesh, devices=devices)
    sharding.check_batch(config.eval.batch_size, mesh, "eval.batch_size")
    sharding.check_batch(
        config.train.batch_size,
        mesh,
        "train.batch_size",
        parts=config.train.accumulate,
        pairs=keeps_pairs(config),
    )
    if builders.divides_statistics(config):
        check_groups(
            read_group(config.train.batch_norm, mesh),
            mesh,
            clips=config.train.batch_size // (mesh.size * config.train.accumulate),
            pairs=config.data.pairing != "none",
        )
    return mesh


def sharding_rules(config: ConfigDict, mesh: Mesh) -> Rules:
    """Returns the sharding rules of the model, or none if the mesh only splits the batch."""
    split = mesh.shape["fsdp"] * mesh.shape["tensor"] > 1
    if not split:
        return ()
    rules = find_sharding_rules(config.model.name, model_options(config).to_dict())
    others = find_sharding_rules(config.model.discriminator) if is_generator(config) else ()
    return (*rules, *others)


def keeps_pairs(config: ConfigDict) -> bool:
    """Returns whether every part of a batch consists of pairs of a real and a fake clip."""
    return (
        config.data.pairing not in ("none", "source")
        and config.train.batch_size > config.train.accumulate
    )


def make_step(config: ConfigDict, parts: Parts) -> TrainStep:
    """Returns the jitted training step, with the fixed networks of the loss on every device."""
    step = processes.compile_together(jit_train_step(config, parts))
    frozen = jax.device_put(parts.frozen, NamedSharding(parts.mesh, PartitionSpec()))
    return (lambda state, batch, rng: step(state, batch, rng, *frozen)) if frozen else step


def jit_train_step(config: ConfigDict, parts: Parts) -> Callable[..., Any]:
    """Returns the jitted training step, which donates the state and keeps its shardings.

    That of a generator has the further argument `parts.frozen`.
    """
    replicated = NamedSharding(parts.mesh, PartitionSpec())
    step: Callable[..., Any]
    if parts.adversary:
        task = Task(parts.preprocess, parts.objective, parts.init, parts.adversary)
        step = make_generator_step(config, parts.model, task, parts.tx, parts.shardings)
    else:
        step = _make_detector_step(config, parts)
    return jax.jit(step, donate_argnums=0, out_shardings=(parts.shardings, replicated))


def _make_detector_step(config: ConfigDict, parts: Parts) -> TrainStep:
    compute_gradients = make_gradient_fn(
        parts.model.apply,
        parts.preprocess,
        parts.objective,
        freeze=builders.frozen_patterns(config),
    )
    if builders.divides_statistics(config):
        dtype, group = config.train.gradient_dtype, read_group(config.train.batch_norm, parts.mesh)
        compute_gradients = split_over_groups(
            compute_gradients, parts.mesh, group=group, dtype=None if dtype == "auto" else dtype
        )
    return make_train_step(
        compute_gradients,
        parts.tx,
        parts=config.train.accumulate,
        together=2 if keeps_pairs(config) else 1,
        shardings=parts.shardings.params,
        ema_decay=config.train.ema_decay,
        clip_norm=config.optimizer.clip_norm,
        sam_radius=config.optimizer.sam_radius,
    )
