"""Puts a training run together: config, data, model, step, mesh, checkpoints, loop."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from dfjax.commands import assembly
from dfjax.commands.announcing import announce
from dfjax.commands.auditing import check_data
from dfjax.commands.config_check import check_config
from dfjax.commands.objective import check_outputs, make_config_loss
from dfjax.commands.validation import make_validate
from dfjax.data.pack import Pack
from dfjax.data.pipeline import batches_per_epoch, make_train_batches
from dfjax.evaluation.plots import plot_curves
from dfjax.losses.classification import Loss
from dfjax.models import ModelFns
from dfjax.training import sharding
from dfjax.training import workdir as workdirs
from dfjax.training.checkpoint import Checkpoints, as_template
from dfjax.training.detector_step import (
    accumulated,
    make_gradient_fn,
    make_train_step,
)
from dfjax.training.hooks import Display
from dfjax.training.loop import HostBatch, Plan, RunState, Trainer
from dfjax.training.metric_writer import MetricWriter
from dfjax.training.optimizers import make_tx
from dfjax.training.profiling import Profiler
from dfjax.training.schedules import make_schedule
from dfjax.training.sharding_rules import SHARDING_RULES, Rules
from dfjax.training.state import TrainState, count, make_init_state
from dfjax.training.stopping import EarlyStop, Plateau

Array = np.ndarray
Rows = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a config and its data determine before anything is computed.

    Attributes:
        shapes: of the state, from `jax.eval_shape`.
        shardings: one per leaf of the state.
        example: shapes of a batch of one clip, enough to initialise.
    """

    model: ModelFns
    preprocess: Callable[..., Any]
    loss: Loss
    tx: optax.GradientTransformation
    schedule: optax.Schedule
    plan: Plan
    mesh: Mesh
    init: Callable[..., TrainState]
    example: dict[str, Any]
    shapes: TrainState
    shardings: TrainState
    root_rng: Any


def train(config: ConfigDict, workdir: Path, accept: Sequence[str] = ()) -> dict[str, Any]:
    """Trains to the end, or from the last checkpoint to the end, and returns a summary.

    Args:
        config: the experiment.
        workdir: everything the run writes.
        accept: codes of audit errors to train with all the same.

    Raises:
        UsageError: the config, the data or the workdir cannot be used; the message says why.
        RunError: the audit found errors in the data that nobody accepted.
        Stopped: a signal came; everything is saved.
    """
    check_config(config)
    with workdirs.locked(workdir):
        workdirs.check(workdir, config)
        use_compilation_cache(workdir)
        pack = assembly.open_data(config, workdir)
        workdirs.prepare(workdir, config)
        check_data(pack.path, workdir, accept, split=pack.index["split"].tolist())
        rows = {split: assembly.split_rows(pack, config, split) for split in ("train", "val")}
        parts = make_parts(config, pack, rows)
        checkpoints = Checkpoints(workdir, keep=config.checkpoint.keep)
        try:
            return _fit(config, workdir, pack, rows, parts, checkpoints)
        finally:
            checkpoints.close()


def use_compilation_cache(workdir: Path) -> None:
    """Keeps compiled programs in the workdir, so that a resumed run starts at once.

    A cache that the user shares between runs, JAX_COMPILATION_CACHE_DIR, is left in place.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    jax.config.update("jax_compilation_cache_dir", str(workdir.resolve() / "jax_cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 2.0)


def make_parts(config: ConfigDict, pack: Pack, rows: Rows) -> Parts:
    """Returns the parts of the run; nothing is compiled yet.

    Raises:
        UsageError: an unknown name, a batch that does not divide, an undefined monitored metric.
    """
    assembly.check_validation(pack, rows["val"], config.early_stop.metric)
    mesh = sharding.make_mesh(**config.mesh)
    sharding.check_batch(config.eval.batch_size, mesh, "eval.batch_size")
    sharding.check_batch(
        config.train.batch_size, mesh, "train.batch_size", parts=config.train.accumulate
    )
    steps = batches_per_epoch(
        pack, rows["train"], pairing=config.data.pairing, batch_size=config.train.batch_size
    )
    plan = Plan(
        steps_per_epoch=steps,
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        log_every=config.train.log_every,
        save_every=config.checkpoint.every_steps,
        max_skipped=config.train.max_skipped,
    )
    optimizer = config.optimizer.to_dict()
    schedule = make_schedule(
        **config.schedule,
        learning_rate=optimizer.pop("learning_rate"),
        total_steps=steps * plan.epochs,
    )
    tx = make_tx(schedule=schedule, **optimizer)
    model, preprocess = assembly.make_model(config), assembly.make_config_preprocess(config)
    loss = make_config_loss(config, pack.index, rows["train"])
    check_outputs(config, model, loss, pack.crop_size)
    init = make_init_state(model.init, preprocess, tx, ema=config.train.ema_decay > 0)
    example = assembly.example_batch(config, 1, pack.crop_size)
    root_rng = jax.random.key(config.seed)
    shapes = jax.eval_shape(init, root_rng, example)
    return Parts(
        model=model,
        preprocess=preprocess,
        loss=loss,
        tx=tx,
        schedule=schedule,
        plan=plan,
        mesh=mesh,
        init=init,
        example=example,
        shapes=shapes,
        shardings=sharding.state_shardings(shapes, mesh, sharding_rules(config, mesh)),
        root_rng=root_rng,
    )


def _fit(
    config: ConfigDict,
    workdir: Path,
    pack: Pack,
    rows: Rows,
    parts: Parts,
    checkpoints: Checkpoints,
) -> dict[str, Any]:
    display = Display(parts.plan.steps_per_epoch * parts.plan.epochs)
    stop, plateau = EarlyStop(**config.early_stop), Plateau(**config.plateau)
    state, run = _start(parts, checkpoints, display, {"stop": stop, "plateau": plateau})
    announce(display.say, pack.index, rows, config)
    _say_where(display, int(state.step), run)
    writer = MetricWriter(workdir, step=int(state.step), tensorboard=config.writers.tensorboard)
    trainer = Trainer(
        state=state,
        run=run,
        plan=parts.plan,
        step_fn=jit_train_step(config, parts),
        root_rng=parts.root_rng,
        make_batches=_make_batches(config, pack, rows["train"]),
        put=functools.partial(sharding.put_batch, mesh=parts.mesh),
        validate=make_validate(config, pack, rows, parts.model, parts.preprocess),
        learning_rate=parts.schedule,
        stop=stop,
        plateau=plateau,
        profiler=Profiler(config.profile, workdir),
        checkpoints=checkpoints,
        writer=writer,
        display=display,
        metadata={"config": config.to_dict(), "versions": workdirs.versions()},
        on_epoch=lambda: plot_curves(workdir / "history.csv", workdir / "curves.png"),
        name_videos=lambda rows: pack.index["video_id"].iloc[rows].tolist(),
    )
    complete = run.finished
    try:
        trainer.fit()
    finally:
        writer.close()
    return {
        "status": "complete" if complete else "trained",
        "workdir": str(workdir),
        "steps": trainer.step,
        "epochs": trainer.run.epoch,
        "best_epoch": trainer.stop.best_epoch,
        f"val_{trainer.stop.metric}": trainer.stop.best,
        "seconds": round(trainer.run.seconds, 1),
        "parameters": count(parts.shapes.params),
    }


def sharding_rules(config: ConfigDict, mesh: Mesh) -> Rules:
    """Returns the model's rules, or none where the mesh only splits the batch."""
    split = mesh.shape["fsdp"] * mesh.shape["tensor"] > 1
    return SHARDING_RULES[config.model.name] if split else ()


def jit_train_step(config: ConfigDict, parts: Parts) -> Callable[..., Any]:
    """Returns the jitted step: the state is donated and keeps its shardings."""
    t = config.train
    gradients = make_gradient_fn(parts.model.apply, parts.preprocess, parts.loss)
    gradients = sharding.gather_params(gradients, parts.shardings.params, parts.mesh)
    train_step = make_train_step(
        accumulated(gradients, t.accumulate),
        parts.tx,
        ema_decay=t.ema_decay,
        clip_norm=config.optimizer.clip_norm,
    )
    replicated = NamedSharding(parts.mesh, PartitionSpec())
    return jax.jit(train_step, donate_argnums=0, out_shardings=(parts.shardings, replicated))


def _start(
    parts: Parts, checkpoints: Checkpoints, display: Display, monitors: dict[str, Any]
) -> tuple[TrainState, RunState]:
    """The state to go on from: the last checkpoint's, or a fresh one."""
    template = as_template(parts.shapes, parts.shardings).to_items()
    restored = checkpoints.restore_last(template, warn=display.say)
    if restored:
        items, saved = restored
        for name, monitor in monitors.items():
            monitor.load_state(saved[name])
        return TrainState.from_items(items), RunState(**saved["run"])
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), parts.example)
    # On CPU most of this program's time is its compilation, and it runs once.
    cheap = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    init = jax.jit(parts.init, out_shardings=parts.shardings, compiler_options=cheap)
    return init(parts.root_rng, zeros), RunState()


def _make_batches(
    config: ConfigDict, pack: Pack, rows: Array
) -> Callable[[int], Iterator[HostBatch]]:
    d = config.data

    def make_batches(start: int) -> Iterator[HostBatch]:
        return make_train_batches(
            pack,
            rows,
            frames=d.frames,
            sampling=d.sampling,
            stride=d.stride,
            pairing=d.pairing,
            batch_size=config.train.batch_size,
            seed=config.seed,
            start_batch=start,
            shard=(jax.process_index(), jax.process_count()),
            workers=d.workers,
            threads=d.threads,
            prefetch=d.prefetch,
            flow=d.flow,
        )

    return make_batches


def _say_where(display: Display, step: int, run: RunState) -> None:
    if run.finished:
        display.say(f"complete: this run finished at step {step}")
    elif step:
        display.say(f"resuming at step {step}")
