"""The training loop of every run; model, data and step function are passed in.

A step reads a batch, updates the state, logs, saves and checks for a request to stop, in this
order. An epoch ends with validation, the choice of the best checkpoint, a row of the history and a
save. A run that is killed resumes from its last save and computes the same numbers again, since
batches and random keys are functions of the step.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from dfjax.errors import RunError
from dfjax.shapes import HostBatch
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.hooks import Display
from dfjax.training.interrupt import Interrupt, Stopped
from dfjax.training.loss_memory import begin_epoch
from dfjax.training.metric_writer import MetricWriter
from dfjax.training.profiling import Profiler
from dfjax.training.run_state import Plan, RunState
from dfjax.training.state import TrainState, TrainStep, Validate
from dfjax.training.stopping import EarlyStop, Plateau

IN_FLIGHT = 2  # steps dispatched ahead of the device; limits how long a signal has to wait


@dataclasses.dataclass
class Trainer:
    """Trains a model; `fit` updates `state` and `run` until the run is finished.

    Attributes:
        state: Training state; its arrays are donated to each step.
        run: Position in the run.
        plan: Lengths and intervals of the run.
        step_fn: Jitted training step.
        root_rng: Key that all random keys of the steps are derived from.
        make_batches: Function `(first step, losses of the videos at the start of its epoch) ->
            iterator of host batches`; a batch depends only on these and on its number. The losses
            are None where the state keeps none; the iterator then covers all epochs.
        put: Function that puts a host batch on the devices.
        validate: Validation after each epoch.
        learning_rate: Learning-rate schedule, for the log.
        plateau: Rule that lowers the learning rate.
        metadata: Config and versions, kept in each checkpoint.
        on_epoch: Function called after each epoch's row of the history, to draw the curves.
        name_videos: Function from `batch["video_index"]` to video ids, for messages.
        interrupt: Requests to save and stop.
    """

    state: TrainState
    run: RunState
    plan: Plan
    step_fn: TrainStep
    root_rng: Key[Array, ""]
    make_batches: Callable[[int, np.ndarray | None], Iterator[HostBatch]]
    put: Callable[[HostBatch], Any]
    validate: Validate
    learning_rate: Callable[[int], Any]
    stop: EarlyStop
    plateau: Plateau
    profiler: Profiler
    checkpoints: Checkpoints
    writer: MetricWriter
    display: Display
    metadata: dict[str, Any]
    on_epoch: Callable[[], None]
    name_videos: Callable[[np.ndarray], list[str]]
    interrupt: Interrupt

    def __post_init__(self) -> None:
        self.step = int(self.state.step)
        self.lr_scale = float(self.state.lr_scale)
        self.window: list[Mapping[str, Array]] = []
        self.videos: list[np.ndarray] = []  # of the batches in the window
        self.clock = {"data": 0.0, "step": 0.0, "save": 0.0}
        self.saved = (self.step, self.run.epoch)

    def fit(self) -> None:
        """Trains to the end of the run.

        Raises:
            Stopped: A stop was requested; everything is saved.
        """
        self.interrupt.training = True
        try:
            with self.display:
                self._fit()
        except Stopped:
            if not self.interrupt.abandoned:
                self._save_last()
            raise
        finally:
            self.interrupt.training, self.interrupt.idle = False, True

    def _fit(self) -> None:
        batches: Iterator[HostBatch] | None = None
        try:
            while not self.run.finished:
                if self.step == (self.run.epoch + 1) * self.plan.steps_per_epoch:
                    self._end_epoch(self.interrupt.check)
                    if self.state.memory:
                        _close(batches)
                        batches = None
                    continue
                batches = batches or self.make_batches(self.step, self._known_losses())
                self.profiler.at_step(self.step)
                saved = self.saved == (self.step, self.run.epoch)
                self.interrupt.idle = saved and self.checkpoints.is_written()
                self._train_step(batches)
                self.interrupt.idle = False
                if self.step % self.plan.save_every == 0:
                    self._save_last()
                self.interrupt.check()
        finally:
            self.profiler.close()
            _close(batches)

    def _known_losses(self) -> np.ndarray | None:
        """Returns the losses of the videos at the start of this epoch, or None if not kept."""
        return np.array(self.state.memory["epoch_start"]) if self.state.memory else None

    def _train_step(self, batches: Iterator[HostBatch]) -> None:
        start = time.perf_counter()
        host_batch = next(batches)
        batch = self.put(host_batch)
        ready = time.perf_counter()
        self.state, metrics = self.step_fn(self.state, batch, self.root_rng)
        self.step += 1
        self.window.append(metrics)
        self.videos.append(host_batch["video_index"])
        if len(self.window) > IN_FLIGHT:
            jax.block_until_ready(self.window[-IN_FLIGHT])
        end_of_epoch = self.step % self.plan.steps_per_epoch == 0
        if self.step % self.plan.log_every == 0 or end_of_epoch:
            jax.block_until_ready(metrics)
        self.clock["data"] += ready - start
        self.clock["step"] += time.perf_counter() - ready
        if self.step % self.plan.log_every == 0 or end_of_epoch:
            self._log()
        self.display.advance(self.step)

    def _flush(self) -> list[dict[str, float]]:
        """Returns the metrics of the steps since the last call, and adds them to the sums."""
        rows = [{k: float(v) for k, v in m.items()} for m in jax.device_get(self.window)]
        for row, videos in zip(rows, self.videos):
            if row["skipped"]:
                self.run.skipped_in_a_row += 1
                self._check_skipped(videos)
            else:
                self.run.skipped_in_a_row = 0
                self.run.loss_sum += row["loss"]
                self.run.accuracy_sum += row["accuracy"]
                self.run.loss_steps += 1
        self.window, self.videos = [], []
        return rows

    def _check_skipped(self, videos: np.ndarray) -> None:
        if self.run.skipped_in_a_row > self.plan.max_skipped:
            raise RunError(
                f"loss or gradient was not finite for {self.run.skipped_in_a_row} steps in a row, "
                f"up to step {self.step}; the parameters are those before. Its videos: "
                f"{', '.join(self.name_videos(videos))}. Lower the learning rate or check these"
            )

    def _log(self) -> None:
        rows = self._flush()
        if not rows:
            return
        busy = self.clock["data"] + self.clock["step"]
        used = [row for row in rows if not row["skipped"]] or rows
        values = {key: float(np.mean([row[key] for row in used])) for key in rows[0]}
        for name in ("clipped", "skipped"):  # counts, not means
            values[name] = float(sum(row[name] for row in rows))
        values["learning_rate"] = self._learning_rate()
        values["clips_per_s"] = len(rows) * self.plan.batch_size / busy
        values |= {f"{name}_s": seconds for name, seconds in self.clock.items()}
        self.run.seconds += busy
        self.clock = dict.fromkeys(self.clock, 0.0)
        self.writer.write("train", self.step, self.run.epoch + 1, values)
        self.display.log(values)

    def _learning_rate(self) -> float:
        """Returns the learning rate of the last step."""
        return float(self.learning_rate(self.step - 1)) * self.lr_scale

    def _end_epoch(self, check: Callable[[], None]) -> None:
        start = time.perf_counter()
        values = self.validate(self.state.variables, check)
        epoch = self.run.epoch + 1
        improved = self.stop.update(epoch, values)
        self.run.epoch = epoch
        self.state = self.state.replace(memory=begin_epoch(self.state.memory))
        row_rate = self._learning_rate()
        self._lower_rate(epoch, values)
        self.run.finished = epoch >= self.plan.epochs or self.stop.should_stop(epoch)
        steps = max(1, self.run.loss_steps)
        means = {"train_loss": self.run.loss_sum / steps}
        means["train_accuracy"] = self.run.accuracy_sum / steps
        self.run.loss_sum, self.run.accuracy_sum, self.run.loss_steps = 0.0, 0.0, 0
        self.run.seconds += time.perf_counter() - start
        row = {
            "epoch": epoch,
            "step": self.step,
            **means,
            **{f"val_{key}": value for key, value in values.items()},
            "learning_rate": row_rate,
            "seconds": round(self.run.seconds, 3),
            "best": int(improved),
        }
        self.writer.write("val", self.step, epoch, values)
        self.writer.write_epoch(row)
        self.display.epoch(row, self.stop, self.plan.epochs)
        if improved:
            if self.stop.best_constant:
                self.display.say(
                    "warning: the detector of the best epoch so far is constant: its scores hardly "
                    "differ, or nearly all of its verdicts are the same"
                )
            self._save("best")
        self._save_last()
        self.on_epoch()

    def _lower_rate(self, epoch: int, values: dict[str, float]) -> None:
        if not self.plateau.patience:
            return
        self.plateau.update(epoch, values)
        scale = self.plateau.next_scale(self.lr_scale, float(self.learning_rate(self.step - 1)))
        if scale != self.lr_scale:
            self.lr_scale = scale
            new = jax.device_put(np.float32(scale), self.state.lr_scale.sharding)
            self.state = self.state.replace(lr_scale=new)
            self.display.say(f"plateau: the learning rate is multiplied by {scale:g} from now on")

    def _save_last(self) -> None:
        if self.saved != (self.step, self.run.epoch):
            self._save("last")
            self.saved = (self.step, self.run.epoch)

    def _save(self, kind: str) -> None:
        if self.interrupt.abandoned:
            raise Stopped("interrupt")
        self._log()  # so that no step's metrics are lost between a save and the next log
        start = time.perf_counter()
        run = {
            "run": dataclasses.asdict(self.run),
            "stop": self.stop.state(),
            "plateau": self.plateau.state(),
            "next_batch": self.step,
            **self.metadata,
        }
        self.checkpoints.save(kind, self.step, self.state.to_items(), run)
        self.clock["save"] += time.perf_counter() - start


def _close(batches: Iterator[HostBatch] | None) -> None:
    """Ends the threads and processes that read batches ahead, if there are any."""
    close = getattr(batches, "close", None)
    if close:
        close()
