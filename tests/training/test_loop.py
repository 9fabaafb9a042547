"""Tests the training loop with a model of two parameters and noise from the keys of the step."""

import dataclasses
import itertools
import os
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import RunError, UsageError
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.detector_step import make_gradient_fn, make_train_step
from dfjax.training.hooks import Display
from dfjax.training.interrupt import Interrupt, Stopped, held_for, run_interruptible
from dfjax.training.loop import Trainer
from dfjax.training.metric_writer import MetricWriter, read_history, read_jsonl
from dfjax.training.optimizers import make_tx
from dfjax.training.profiling import Profiler
from dfjax.training.run_state import Plan, RunState
from dfjax.training.schedules import make_schedule
from dfjax.training.sharding import as_template
from dfjax.training.state import TrainState, make_init_state
from dfjax.training.stopping import EarlyStop, Plateau

pytestmark = pytest.mark.usefixtures("compiled_quickly")

ROOT_RNG = jax.random.key(0)
STEPS, EPOCHS = 4, 3
SCHEDULE = make_schedule(
    "cosine", learning_rate=0.1, warmup_steps=2, total_steps=12, final_scale=0.0
)
TX = make_tx("adam", SCHEDULE, b1=0.9, b2=0.999, eps=1e-8, clip_norm=1.0)


def init(rng, inputs):
    return {
        "params": {"kernel": jax.random.normal(rng, (inputs["x"].shape[-1],))},
        "batch_stats": {"mean": jnp.zeros(())},
    }


def apply(variables, inputs, *, train, rngs):
    noise = jax.random.normal(rngs["dropout"], ()) if train else 0.0
    logits = inputs["x"] @ variables["params"]["kernel"] + 0.1 * noise
    return logits, {}, {"mean": 0.9 * variables["batch_stats"]["mean"] + 0.1 * logits.mean()}


def preprocess(batch, rng, *, train):
    return {"x": batch["x"]}


def objective(logits, outputs, batch):
    return {"bce": jnp.logaddexp(0.0, logits) - logits * batch["label"]}


def batch(number):
    rng = np.random.default_rng(number)
    return {
        "x": rng.normal(size=(8, 2)).astype(np.float32),
        "label": rng.integers(0, 2, 8).astype(np.float32),
        "weight": np.ones(8, np.float32),
        "video_index": np.arange(8, dtype=np.int32),
    }


TRACES = itertools.count()
INIT = make_init_state(init, preprocess, TX, ema=True)


GRADIENTS = make_gradient_fn(apply, preprocess, objective)


def _counted(*args):
    next(TRACES)
    return make_train_step(GRADIENTS, TX, ema_decay=0.9)(*args)


STEP = jax.jit(_counted, donate_argnums=0)


class Batches:
    """Numbered batches; `on_read` may raise or signal at a given one."""

    def __init__(self, start, on_read, make=batch):
        self.numbers, self.on_read, self.make = itertools.count(start), on_read, make

    def __iter__(self):
        return self

    def __next__(self):
        number = next(self.numbers)
        self.on_read(number)
        return self.make(number)


def make_trainer(workdir, on_read=lambda number: None, make=batch, save_every=3, **stop):
    shapes = jax.eval_shape(INIT, ROOT_RNG, batch(0))
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    template = as_template(shapes, jax.tree.map(lambda _: sharding, shapes))
    checkpoints = Checkpoints(workdir)
    restored = checkpoints.restore_last(template.to_items(), warn=warnings.append)
    state = jax.jit(INIT)(ROOT_RNG, batch(0))
    run = RunState()
    early_stop = EarlyStop(**{"metric": "auc", "mode": "max", "patience": 0} | stop)
    lower = Plateau("auc", "max", patience=1, rule="keras", factor=0.5, floor=0.1)
    if restored:
        state, run = TrainState.from_items(restored[0]), RunState(**restored[1]["run"])
        early_stop.load_state(restored[1]["stop"])
        lower.load_state(restored[1]["plateau"])
    return Trainer(
        state=state,
        run=run,
        plan=Plan(STEPS, EPOCHS, 8, log_every=1, save_every=save_every, max_skipped=2),
        step_fn=STEP,
        root_rng=ROOT_RNG,
        make_batches=lambda start, losses: Batches(start, on_read, make),
        put=lambda batch: batch,
        validate=lambda variables, check: {
            "auc": float(variables["params"]["kernel"][0]),
            "loss": 0.0,
        },
        learning_rate=SCHEDULE,
        stop=early_stop,
        plateau=lower,
        profiler=Profiler("", workdir),
        checkpoints=checkpoints,
        writer=MetricWriter(workdir, step=int(state.step), tensorboard=False),
        display=Display(STEPS * EPOCHS),
        metadata={},
        on_epoch=lambda: None,
        name_videos=lambda rows: [f"video{row}" for row in rows],
        interrupt=Interrupt(),
    )


warnings = []


def assert_same_state(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = make_trainer(folder)
    trainer.fit()
    return trainer, folder


def without_times(rows):
    return [
        {k: v for k, v in row.items() if k != "clips_per_s" and not k.endswith(("_s", "seconds"))}
        for row in rows
    ]


@pytest.mark.parametrize("killed_at", [0, 2, 3, 4, 7, 11])
def test_a_run_killed_at_any_step_ends_with_the_same_bits(tmp_path, whole, killed_at):
    class Killed(BaseException):
        pass

    def kill(number):
        if number == killed_at:
            raise Killed

    with pytest.raises(Killed):
        make_trainer(tmp_path, on_read=kill).fit()
    trainer = make_trainer(tmp_path)
    trainer.fit()
    assert_same_state(trainer.state, whole[0].state)
    assert trainer.stop == whole[0].stop
    for name, read in (("metrics.jsonl", read_jsonl), ("history.csv", read_history)):
        assert without_times(read(tmp_path / name)) == without_times(read(whole[1] / name))


def test_a_request_to_stop_saves_the_step_it_came_in(tmp_path, whole):
    def request(number):
        if number == 4:
            trainer.interrupt.request("SIGTERM")

    trainer = make_trainer(tmp_path, on_read=request, save_every=1000)
    with pytest.raises(Stopped, match="SIGTERM"):
        trainer.fit()
    assert trainer.interrupt.idle and not trainer.interrupt.training
    assert trainer.checkpoints.latest_step("last") == 5
    resumed = make_trainer(tmp_path)
    resumed.fit()
    assert_same_state(resumed.state, whole[0].state)


@pytest.mark.parametrize("save_every", [1000, 2])
def test_an_abandoned_run_saves_nothing(tmp_path, save_every):
    def abandon(number):
        if number == 1:
            trainer.interrupt.request("interrupt")
            trainer.interrupt.abandoned = True

    trainer = make_trainer(tmp_path, on_read=abandon, save_every=save_every)
    with pytest.raises(Stopped):
        trainer.fit()
    assert trainer.checkpoints.latest_step("last") is None


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("step", [0, 4])
def test_a_keyboard_interrupt_ends_the_wait_and_not_the_step(tmp_path, whole, step, capsys):
    def interrupt(number):
        if number == step:  # in the thread of the loop; the main thread waits for it
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(lambda: trainer.interrupt.requested)

    trainer = make_trainer(tmp_path, on_read=interrupt, save_every=1000)
    with pytest.raises(Stopped, match="interrupt"):
        run_interruptible(trainer.fit, trainer.interrupt)
    assert trainer.checkpoints.latest_step("last") == step + 1
    assert capsys.readouterr().err.count("interrupt: saving after this step") == 1
    resumed = make_trainer(tmp_path)
    run_interruptible(resumed.fit, resumed.interrupt)
    assert_same_state(resumed.state, whole[0].state)


def test_a_second_keyboard_interrupt_returns_at_once(tmp_path):
    release = threading.Event()

    def interrupt(number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(lambda: trainer.interrupt.requested)
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(lambda: trainer.interrupt.abandoned)
            release.wait(30)

    trainer = make_trainer(tmp_path, on_read=interrupt, save_every=1000)
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(trainer.fit, trainer.interrupt)
    assert trainer.interrupt.abandoned
    release.set()
    for thread in threading.enumerate():
        if thread.name == "dfjax-train":
            thread.join(30)
    assert trainer.checkpoints.latest_step("last") is None


def test_what_a_run_holds_is_released_when_the_thread_of_an_abandoned_run_has_ended():
    interrupt, released = Interrupt(), threading.Event()
    with held_for(interrupt) as held:
        held.callback(released.set)
    assert released.is_set()
    released.clear()
    with pytest.raises(KeyboardInterrupt), held_for(interrupt) as held:
        held.callback(released.set)
        interrupt.abandoned = True
        raise KeyboardInterrupt
    assert not released.wait(0.1)
    interrupt.ended.set()
    assert released.wait(30)


def take_a_step(trainer):
    """Bytes of all arrays before and after one step, and whether the step took the old state."""
    old = jax.tree.leaves(trainer.state)
    before = sum(array.nbytes for array in jax.live_arrays())
    trainer._train_step(Batches(trainer.step, lambda number: None))
    taken = [leaf.is_deleted() for leaf in old]
    del old
    trainer.window.clear()  # metrics that wait for the log
    return sum(array.nbytes for array in jax.live_arrays()) - before, taken


def test_the_restored_state_is_donated_like_a_fresh_one(tmp_path):
    fresh = make_trainer(tmp_path)
    grown, taken = take_a_step(fresh)
    assert grown <= 0 and all(taken)
    fresh._save_last()
    del fresh
    resumed = make_trainer(tmp_path)
    assert resumed.step == 1
    grown, taken = take_a_step(resumed)
    assert grown <= 0, "a second state in memory"
    assert all(taken)


def test_a_finished_run_trains_no_further(whole):
    again = make_trainer(whole[1])
    again.fit()
    assert again.step == STEPS * EPOCHS
    assert_same_state(again.state, whole[0].state)


def test_the_best_checkpoint_is_the_best_validation_epoch(whole):
    trainer, folder = whole
    values = [float(row["val_auc"]) for row in read_history(folder / "history.csv")]
    best = 1 + int(np.argmax(values))
    assert trainer.stop.best_epoch == best
    step, variables = trainer.checkpoints.restore_variables("best")
    assert step == best * STEPS
    np.testing.assert_allclose(variables["params"]["kernel"][0], max(values), rtol=1e-6)


def test_patience_ends_the_run_early(tmp_path):
    trainer = make_trainer(tmp_path, metric="loss", mode="min", patience=1)
    trainer.fit()
    assert (trainer.run.epoch, trainer.step) == (2, 2 * STEPS)


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(tmp_path):
    def spoilt(number):
        data = batch(number)
        return data | {"x": data["x"] * np.nan} if number == 2 else data

    trainer = make_trainer(tmp_path, make=spoilt)
    trainer.fit()
    rows = [row for row in read_jsonl(tmp_path / "metrics.jsonl") if row["split"] == "train"]
    assert [row["skipped"] for row in rows[:4]] == [0.0, 0.0, 1.0, 0.0]
    assert rows[2]["loss"] is None
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(trainer.state.params))


def test_the_mean_of_logged_steps_is_that_of_the_finite_ones(tmp_path):
    def spoilt(number):
        data = batch(number)
        return data | {"x": data["x"] * np.nan} if number == 1 else data

    def read_losses(folder, make, log_every):
        trainer = make_trainer(folder, make=make)
        trainer.plan = dataclasses.replace(trainer.plan, log_every=log_every)
        trainer.fit()
        rows = read_jsonl(folder / "metrics.jsonl")
        return [row["loss"] for row in rows if row["split"] == "train"]

    single = read_losses(tmp_path / "single", spoilt, 1)
    means = read_losses(tmp_path / "means", spoilt, 3)
    assert single[1] is None and means[0] == pytest.approx((single[0] + single[2]) / 2)


def test_the_step_is_traced_once_for_all_runs_above(whole):
    before = next(TRACES)
    whole[0].step_fn(jax.jit(INIT)(ROOT_RNG, batch(0)), batch(0), ROOT_RNG)
    assert next(TRACES) == before + 1


def test_the_state_is_donated():
    state = jax.jit(INIT)(ROOT_RNG, batch(0))
    STEP(state, batch(0), ROOT_RNG)
    assert state.params["kernel"].is_deleted()


def damage(folder):
    for file in (folder / "variables").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before_loudly(tmp_path, whole):
    make_trainer(tmp_path).fit()
    root = tmp_path / "checkpoints" / "last"
    newest = max(int(p.name) for p in root.iterdir() if p.name.isdigit())
    damage(root / str(newest))
    warnings.clear()
    trainer = make_trainer(tmp_path)
    assert trainer.step < newest
    assert f"last/{newest} is damaged" in warnings[0]
    trainer.fit()
    assert_same_state(trainer.state, whole[0].state)


def test_only_damaged_checkpoints_are_an_error_that_says_what_to_do(tmp_path):
    make_trainer(tmp_path).fit()
    for folder in (tmp_path / "checkpoints" / "last").iterdir():
        damage(folder)
    with pytest.raises(UsageError, match="Move the folder away"):
        make_trainer(tmp_path)


def test_the_history_has_the_mean_accuracy_of_an_epoch_s_steps(whole):
    trainer, folder = whole[:2]
    steps = [r for r in read_jsonl(folder / "metrics.jsonl") if r["split"] == "train"]
    for row in read_history(folder / "history.csv"):
        own = [step["accuracy"] for step in steps if step["epoch"] == int(row["epoch"])]
        assert float(row["train_accuracy"]) == pytest.approx(np.mean(own), abs=1e-8)


def test_plateau_lowers_the_learning_rate_of_the_next_epoch(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.validate = lambda variables, check: {"auc": 0.5, "loss": 0.0}
    trainer.fit()
    rows = read_history(tmp_path / "history.csv")
    scales = [
        float(row["learning_rate"]) / float(SCHEDULE(STEPS * n - 1))
        for n, row in enumerate(rows, start=1)
    ]
    assert scales == pytest.approx([1.0, 1.0, 0.5])
    assert float(trainer.state.lr_scale) == 0.25


def test_too_many_steps_that_are_not_finite_end_the_run_and_name_the_videos(tmp_path):
    def spoilt(number):
        data = batch(number)
        return data | {"x": data["x"] * np.nan} if number >= 3 else data

    trainer = make_trainer(tmp_path, make=spoilt)
    with pytest.raises(RunError, match=r"3 steps in a row.*video0, video1"):
        trainer.fit()
    assert int(trainer.state.skipped) == 3


def test_a_full_disk_is_named_and_earlier_checkpoints_stay(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    manager = trainer.checkpoints.managers["last"]
    save = manager.save

    def full(step, args):
        if step > 3:
            raise OSError(28, "No space left on device")
        return save(step, args=args)

    monkeypatch.setattr(manager, "save", full)
    with pytest.raises(RunError, match="disk .* is full: step 4"):
        trainer.fit()
    assert make_trainer(tmp_path).step == 3
