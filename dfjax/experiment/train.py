"""Trains the detector of a config in a workdir: `dfjax.train`."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from dfjax import processes
from dfjax.config import load_config, override
from dfjax.data.clips.pipeline import check_clips, make_train_batches
from dfjax.data.store.feature_pack import FeaturePack
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import Interrupted
from dfjax.experiment import builders, run_data
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.compilation_cache import use_compilation_cache
from dfjax.experiment.data_check import check_data
from dfjax.experiment.data_summary import summarise_data
from dfjax.experiment.generator_check import is_generator
from dfjax.experiment.generator_validation import make_generator_validate
from dfjax.experiment.history import show_epoch
from dfjax.experiment.initial_backbones import find_files, follow_files
from dfjax.experiment.initial_state import start
from dfjax.experiment.mlflow_log import RunLog, connect_first
from dfjax.experiment.objective import list_methods, save_methods, use_loss
from dfjax.experiment.parts import Parts, Rows, make_parts, make_step
from dfjax.experiment.phases import Phase, check_workdirs, plan_run, train_phases
from dfjax.experiment.run import Run
from dfjax.experiment.stored_features import keep_backbone
from dfjax.experiment.validation import make_validate
from dfjax.object_stores import as_url, is_url
from dfjax.shapes import HostBatch, Loss
from dfjax.store_workdirs import Held, find_copy, hold_workdir
from dfjax.training import sharding
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.hooks import Display
from dfjax.training.interrupt import Interrupt, Stopped, held_for, run_interruptible
from dfjax.training.loop import Trainer
from dfjax.training.metric_writer import MetricWriter, SilentWriter
from dfjax.training.profiling import Profiler
from dfjax.training.run_state import RunState
from dfjax.training.state import Validate, count
from dfjax.training.stopping import EarlyStop, Plateau

Array = np.ndarray


def train(
    config: ConfigDict | str,
    workdir: str | Path,
    *,
    model: Any = None,
    loss: Loss | None = None,
    accept: Sequence[str] = (),
) -> Run:
    """Trains a detector; the same call resumes an interrupted run.

    After an interrupt (Ctrl-C, or the stop button of a notebook), also during compilation, the call
    finishes the current step, saves, and raises `Interrupted`.

    Args:
        config: Config, as `dfjax.load_config` returns it, or the name that it takes. A config is
            not changed.
        workdir: Folder of the run, or its URL at gs:// or s3://.
        model: Linen module of your own, in place of the model in the config; see
            `dfjax.models.custom`. The config in the workdir names its class by import path.
        loss: Loss of your own, in place of the loss in the config: a function
            `loss(logits, outputs, batch) -> f32[B]` that returns one value per clip.
        accept: Codes of audit errors in the data that are accepted.

    Raises:
        UsageError: The config, the data or the workdir is invalid.
        RunError: The data have errors that are not accepted, or too many steps in a row had a loss
            or gradient that is not finite.
        Interrupted: The call was interrupted and has saved; a subclass of `KeyboardInterrupt`.
    """
    if isinstance(config, str):
        config = load_config(config)
    if model is not None:
        config = builders.use_model(config, model)
    if loss is not None:
        config = use_loss(config, loss)
    interrupt = Interrupt()

    def fit(trainer: Trainer) -> None:
        run_interruptible(trainer.fit, interrupt)

    try:
        summary = run_training(config, workdir, accept, interrupt=interrupt, fit=fit)
    except Stopped:
        raise Interrupted(f"interrupted and saved in {workdir}; the same call resumes") from None
    return Run(find_copy(workdir), summary)


def run_training(
    config: ConfigDict,
    workdir: str | Path,
    accept: Sequence[str] = (),
    *,
    interrupt: Interrupt | None = None,
    fit: Callable[[Trainer], None] = Trainer.fit,
    must_log: bool = True,
) -> dict[str, Any]:
    """Trains in the calling thread and returns the summary of `Run`.

    The phases of a config (`experiment/phases.py`) are trained one after another, except those that
    are finished. The summary is that of the last phase.

    Args:
        config: Config of the run.
        workdir: Folder of the run, or its URL.
        accept: Codes of audit errors that are accepted.
        interrupt: Object through which a signal handler requests the run to stop.
        fit: Function that runs a trainer, for example in another thread.
        must_log: Whether a lost server of MLflow is an error; it is a warning otherwise.

    Raises:
        UsageError: The config, the data or the workdir is invalid.
        RunError: The data have errors that are not accepted, or too many steps in a row had a loss
            or gradient that is not finite.
        Stopped: A stop was requested, and everything is saved.
    """
    interrupt = interrupt or Interrupt()
    with held_for(interrupt) as held:
        place = held.enter_context(hold_workdir(workdir))
        folder = place.folder
        phases = plan_run(config, folder)
        held.enter_context(workdirs.locked(folder))
        check_workdirs(phases, folder)
        mlflow = connect_first(config, required=must_log)
        log = RunLog(mlflow, folder, workdir, required=must_log)
        run_phase = functools.partial(
            _train_phase, accept=accept, interrupt=interrupt, fit=fit, place=place, log=log
        )
        use_compilation_cache(folder)
        _share_data(phases, folder)
        summary = train_phases(phases, run_phase)
        log.finish(phases)
    return summary | {"workdir": as_url(workdir) if is_url(workdir) else str(workdir)}


def _share_data(phases: list[Phase], workdir: Path) -> None:
    """Makes all phases of a config with a synthetic set use the same files."""
    masks = max(phase.config.loss.mask for phase in phases)
    config = override(phases[0].config, {"loss.mask": masks})
    given = config.data.path or config.data.features
    if len(phases) > 1 and config.data.synthetic.videos and not given:
        with processes.first_alone():
            pack = run_data.synthetic_pack(config, workdir / "data")
        for phase in phases[:-1]:
            phase.config.data.path = str(pack)


def _train_phase(
    config: ConfigDict,
    workdir: Path,
    *,
    accept: Sequence[str],
    interrupt: Interrupt,
    fit: Callable[[Trainer], None],
    place: Held,
    log: RunLog,
) -> dict[str, Any]:
    place.share()  # the phase before
    with processes.first_alone():  # which makes a synthetic set, and audits the data
        pack = run_data.open_data(config, workdir)
        run_data.record_crops(config, pack)
        workdirs.check(workdir, config)
        if isinstance(pack, FeaturePack):
            keep_backbone(pack, workdir)
        check_data(pack.path, workdir, accept, split=pack.index["split"].tolist())
    rows = {split: run_data.split_rows(pack, config, split) for split in ("train", "val")}
    for chosen in rows.values():
        check_clips(pack, chosen, builders.make_sampling(config), flow=config.data.flow)
    parts = make_parts(config, pack, rows)
    display = Display(parts.plan.steps_per_epoch * parts.plan.epochs)
    with held_for(interrupt) as held:
        checkpoints = Checkpoints(
            workdir, keep=config.checkpoint.keep, push=place.push, is_shared=place.is_shared
        )
        held.callback(checkpoints.close)
        trainer = _make_trainer(config, workdir, pack, rows, parts, checkpoints, display, interrupt)
        held.callback(trainer.writer.close)
        if processes.is_first():  # after the config and train.init_from were checked
            workdirs.prepare_workdir(workdir, config)
        complete = trainer.run.finished
        with log.logged(config, workdir, pack.index, trainer.writer):
            fit(trainer)
    return _summarise(trainer, workdir, parts, complete=complete)


def _make_trainer(
    config: ConfigDict,
    workdir: Path,
    pack: FrameStore,
    rows: Rows,
    parts: Parts,
    checkpoints: Checkpoints,
    display: Display,
    interrupt: Interrupt,
) -> Trainer:
    methods = list_methods(config, pack.index, rows["train"])
    stop, plateau = EarlyStop(**config.early_stop), Plateau(**config.plateau)
    monitors = {"stop": stop, "plateau": plateau}
    init_from = config.train.init_from.replace("{workdir}", str(workdir))
    frozen = () if config.train.freeze_random else config.optimizer.freeze
    files, resumed = find_files(config), checkpoints.latest_step("last") is not None
    state, run = start(parts, checkpoints, display.say, monitors, init_from, files, frozen)
    first = processes.is_first()
    if first:
        save_methods(workdir, methods)
        follow_files(files, workdir, display.say, resumed=resumed)
    for line in [*summarise_data(pack.index, rows, config), *parts.notes]:
        display.say(line)
    _say_where(display, int(state.step), run)
    return Trainer(
        state=state,
        run=run,
        plan=parts.plan,
        step_fn=make_step(config, parts),
        root_rng=parts.root_rng,
        make_batches=_make_batches(config, pack, rows["train"], parts.mesh),
        put=functools.partial(sharding.put_batch, mesh=parts.mesh),
        validate=_make_validate(config, workdir, pack, rows, parts),
        learning_rate=parts.schedule,
        stop=stop,
        plateau=plateau,
        profiler=Profiler(config.profile if first else "", workdir),
        checkpoints=checkpoints,
        writer=MetricWriter(
            workdir, step=int(state.step), tensorboard=config.writers.tensorboard, epochs=run.epoch
        )
        if first
        else SilentWriter(),
        display=display,
        metadata={"config": config.to_dict(), "versions": workdirs.versions(), "methods": methods},
        on_epoch=functools.partial(show_epoch, workdir, display.say) if first else lambda: None,
        name_videos=lambda rows: pack.index["video_id"].iloc[rows].tolist(),
        interrupt=interrupt,
    )


def _make_validate(
    config: ConfigDict, workdir: Path, pack: FrameStore, rows: Rows, parts: Parts
) -> Validate:
    shared = (pack, rows, parts.model, parts.preprocess, parts.mesh)
    if is_generator(config):
        return make_generator_validate(config, workdir, *shared)
    return make_validate(config, *shared)


def _summarise(trainer: Trainer, workdir: Path, parts: Parts, *, complete: bool) -> dict[str, Any]:
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


def _make_batches(
    config: ConfigDict, pack: FrameStore, rows: Array, mesh: Mesh
) -> Callable[[int, Array | None], Iterator[HostBatch]]:
    d, options = config.data, builders.make_epoch_options(config)
    methods = list_methods(config, pack.index, rows)

    def make_batches(start: int, losses: Array | None) -> Iterator[HostBatch]:
        return make_train_batches(
            pack,
            rows,
            options,
            sampling=builders.make_sampling(config),
            start_batch=start,
            losses=losses,
            places=sharding.local_places(options.batch_size, mesh),
            workers=d.workers,
            threads=d.threads,
            prefetch=d.prefetch,
            flow=d.flow,
            masks=run_data.reads_masks(pack, config),
            methods=methods,
        )

    return make_batches


def _say_where(display: Display, step: int, run: RunState) -> None:
    if run.finished:
        display.say(f"complete: this run finished at step {step}")
    elif step:
        display.say(f"resuming at step {step}")
