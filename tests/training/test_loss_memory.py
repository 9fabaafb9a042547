"""Tests the memory of losses, and interrupted runs that sample by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from dfjax.data.clips.batching import EpochOptions, Sampler
from dfjax.training import sharding
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.detector_step import make_gradient_fn, make_train_step
from dfjax.training.hooks import Display
from dfjax.training.interrupt import Interrupt
from dfjax.training.loop import Trainer
from dfjax.training.loss_memory import begin_epoch, init_memory, remember
from dfjax.training.metric_writer import MetricWriter
from dfjax.training.optimizers import make_tx
from dfjax.training.profiling import Profiler
from dfjax.training.run_state import Plan, RunState
from dfjax.training.schedules import make_schedule
from dfjax.training.sharding import as_template
from dfjax.training.state import TrainState, make_init_state
from dfjax.training.stopping import EarlyStop, Plateau


def make_batch(videos, weight=None, **more):
    weight = np.ones(len(videos)) if weight is None else weight
    return {
        "video_index": jnp.array(videos, jnp.int32),
        "weight": jnp.array(weight, jnp.float32),
    } | more


def test_a_batch_writes_the_losses_of_its_videos_and_of_no_others():
    memory = init_memory(6)
    memory["loss"] = jnp.array([0.0, 1.0, 2.0, 3.0, 4.0, -1.0])
    batch = make_batch([4, 1, 4, -1], [1.0, 0.5, 1.0, 0.0])
    after = remember(memory, batch, jnp.array([0.25, 0.75, 0.5, jnp.nan]))
    assert after["loss"].tolist() == [0.0, 0.75, 2.0, 3.0, 0.5, -1.0]  # the larger of two
    assert after["epoch_start"].tolist() == [-1.0] * 6
    begun = begin_epoch(after)
    assert begun["epoch_start"].tolist() == begun["loss"].tolist() == after["loss"].tolist()


def test_a_blended_clip_says_nothing_of_its_real_video():
    batch = make_batch([0, 0, 1], blend=jnp.array([False, True, True]))
    after = remember(init_memory(2), batch, jnp.array([0.5, 4.0, 4.0]))
    assert after["loss"].tolist() == [0.5, -1.0]


def test_off_is_an_empty_tree_that_stays_empty_and_is_not_saved():
    assert init_memory(0) == remember({}, make_batch([0]), jnp.ones(1)) == begin_epoch({}) == {}
    state = TrainState(*[jnp.zeros(())] * 4, ema={}, lr_scale=1.0, skipped=0, memory={})
    items = state.to_items()
    assert "memory" not in items["training"]  # as in checkpoints of before there was one
    assert TrainState.from_items(items).memory == {}


def test_a_batch_split_over_devices_writes_the_same():
    mesh = sharding.make_mesh(data=-1, fsdp=1, tensor=1)
    rng = np.random.default_rng(0)
    batch = {k: np.asarray(v) for k, v in make_batch(rng.integers(0, 5, 16)).items()}
    losses = rng.random(16).astype(np.float32)
    memory = init_memory(7)
    whole = remember(memory, jax.tree.map(jnp.asarray, batch), jnp.asarray(losses))
    put = sharding.put_batch(batch | {"losses": losses}, mesh)
    replicated = NamedSharding(mesh, PartitionSpec())
    run = jax.jit(lambda m, b: remember(m, b, b["losses"]), out_shardings=replicated)
    split = run(jax.device_put(memory, replicated), put)
    jax.tree.map(np.testing.assert_array_equal, split, whole)
    assert begin_epoch(split)["epoch_start"].sharding == split["epoch_start"].sharding


# A detector of twelve videos, each a point in the plane; two of them are mislabelled.
POINTS = np.random.default_rng(7).normal(size=(12, 2)).astype(np.float32)
LABEL = (POINTS[:, 0] > 0).astype(np.int8)
HARD = np.argsort(np.abs(POINTS[:, 0]))[-2:]  # far on the wrong side
LABEL[HARD] = 1 - LABEL[HARD]
INDEX = pd.DataFrame({"label": LABEL})
OPTIONS = EpochOptions("none", batch_size=8, seed=0, hard_mining=0.8)
STEPS, EPOCHS = 2, 5
SCHEDULE = make_schedule(
    "constant", learning_rate=0.02, warmup_steps=0, total_steps=10, final_scale=0.0
)
TX = make_tx("adam", SCHEDULE, b1=0.9, b2=0.999, eps=1e-8)
ROOT_RNG = jax.random.key(0)


def preprocess(batch, rng, *, train):
    return {"x": jnp.asarray(POINTS)[batch["video_index"]]}


def apply(variables, inputs, *, train, rngs):
    return inputs["x"] @ variables["params"]["kernel"], {}, {}


def objective(logits, outputs, batch):
    return {"bce": jnp.logaddexp(0.0, logits) - logits * batch["label"]}


INIT = make_init_state(
    lambda rng, inputs: {"params": {"kernel": jnp.array([2.0, 0.0])}, "batch_stats": {}},
    preprocess,
    TX,
    videos=len(INDEX),
)
STEP = jax.jit(
    make_train_step(make_gradient_fn(apply, preprocess, objective), TX, parts=2),
    donate_argnums=0,
)


def draw_batches(start, losses, on_read):
    """Batches of one epoch, as `make_train_batches` gives them."""
    sampler = Sampler(INDEX, np.arange(len(INDEX)), OPTIONS, losses)
    for number in range(start, start + STEPS - start % STEPS):
        on_read(number)
        videos = np.array([sampler.draw(number, place).row for place in range(8)], np.int32)
        yield {
            "video_index": videos,
            "label": LABEL[videos],
            "weight": np.ones(8, np.float32),
        }


def make_trainer(workdir, on_read=lambda number: None):
    first = next(draw_batches(0, None, lambda number: None))
    shapes = jax.eval_shape(INIT, ROOT_RNG, first)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    template = as_template(shapes, jax.tree.map(lambda _: place, shapes))
    checkpoints = Checkpoints(workdir)
    restored = checkpoints.restore_last(template.to_items(), warn=pytest.fail)
    state, run = jax.jit(INIT)(ROOT_RNG, first), RunState()
    if restored:
        state, run = TrainState.from_items(restored[0]), RunState(**restored[1]["run"])
    return Trainer(
        state=state,
        run=run,
        plan=Plan(STEPS, EPOCHS, 8, log_every=1, save_every=3, max_skipped=2),
        step_fn=STEP,
        root_rng=ROOT_RNG,
        make_batches=lambda start, losses: draw_batches(start, losses, on_read),
        put=lambda batch: batch,
        validate=lambda variables, check: {"loss": 0.0},
        learning_rate=SCHEDULE,
        stop=EarlyStop("loss", "min", patience=0),
        plateau=Plateau("loss", "min", patience=0, factor=0.5, floor=0.0),
        profiler=Profiler("", workdir),
        checkpoints=checkpoints,
        writer=MetricWriter(workdir, step=int(state.step), tensorboard=False),
        display=Display(STEPS * EPOCHS),
        metadata={},
        on_epoch=lambda: None,
        name_videos=lambda rows: [str(row) for row in rows],
        interrupt=Interrupt(),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, and how often each video came in its last three epochs."""
    folder = tmp_path_factory.mktemp("whole")
    counts = np.zeros(len(INDEX), int)
    trainer = make_trainer(folder)
    inner = trainer.make_batches

    def counted(start, losses):
        for batch in inner(start, losses):
            if start >= 2 * STEPS:
                np.add.at(counts, batch["video_index"], 1)
            yield batch

    trainer.make_batches = counted
    trainer.fit()
    return trainer, counts


def test_videos_that_stay_wrong_come_more_often(whole):
    trainer, counts = whole
    losses = np.asarray(trainer.state.memory["loss"])
    assert (losses >= 0).all()
    assert set(np.argsort(losses)[-2:]) == set(HARD)
    easy = np.delete(counts, HARD)
    assert counts[HARD].min() > easy.max() and easy.min() > 0
    np.testing.assert_array_equal(trainer.state.memory["epoch_start"], losses)


@pytest.mark.parametrize("killed_at", [1, 2, 3, 5, 8])
def test_a_run_cut_short_anywhere_draws_and_ends_the_same(tmp_path, whole, killed_at):
    class Killed(BaseException):
        pass

    def kill(number):
        if number == killed_at:
            raise Killed

    with pytest.raises(Killed):
        make_trainer(tmp_path, on_read=kill).fit()
    trainer = make_trainer(tmp_path)
    trainer.fit()
    jax.tree.map(np.testing.assert_array_equal, trainer.state, whole[0].state)
