"""Tests that two processes with four devices each are one run: train, stop, resume, evaluate.

One run goes through two, one and two processes; one of them is killed, others are asked to stop.
Its losses must be those of a run of one process that was never stopped.
"""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from several_processes import LIMIT, finish, start_processes

from dfjax.training.metric_writer import read_jsonl

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_quickly")]

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 10
OPTIONS = [
    *("--config=meso4:smoke", f"--config.train.epochs={EPOCHS}", "--config.train.log_every=1"),
    *("--config.train.batch_size=8", "--config.eval.batch_size=8", "--config.data.eval_clips=3"),
    *("--config.checkpoint.every_steps=1", "--config.train.ema_decay=0.9"),
]
WATCHED = """
import contextlib, json, os, sys, threading
import dfjax.experiment.train as train
from dfjax.commands.main import main
from dfjax.training.interrupt import Interrupt, _Agreement
make, stopping = train.make_train_batches, threading.Event()
several = "DFJAX_NUM_PROCESSES" in os.environ
decide = _Agreement._agree if several else Interrupt.request
def tell(*arguments):
    decide(*arguments)
    stopping.set()
setattr(_Agreement if several else Interrupt, decide.__name__, tell)
def write_clips(*arguments, start_batch, **options):
    with contextlib.closing(make(*arguments, start_batch=start_batch, **options)) as batches:
        for number, batch in enumerate(batches, start_batch):
            if number >= int(os.environ["HELD"]):
                assert stopping.wait(60)
            with open(f"{os.environ['CLIPS']}-{os.getpid()}", "a") as file:
                print(json.dumps([number, batch["video_index"].tolist()]), file=file)
            yield batch
train.make_train_batches = write_clips
sys.exit(main())
"""
"""The program of a process that writes which clips it reads for which batch.

It reads batches from number `HELD` on only when the processes know in which step they stop.
"""


def start(count, devices, *arguments, clips=None, held=EPOCHS):
    """Starts the processes of one command, and returns them in the order of their numbers.

    Where `clips` is a path, process P writes which clips it reads to `CLIPS-P`, and waits for a
    signal before the batch of number `held`.
    """
    if clips:
        variables = {"CLIPS": str(clips), "HELD": str(held)}
        return start_processes(count, devices, "-c", WATCHED, *arguments, **variables)
    return start_processes(count, devices, "-m", "dfjax", *arguments)


def run(count, devices, *arguments, clips=None):
    results = finish(start(count, devices, *arguments, clips=clips))
    assert [code for code, _, _ in results] == [0] * count, results
    return results


def wait_for_step(workdir, step, processes):
    deadline = time.monotonic() + LIMIT
    while not any(row["step"] >= step for row in read_jsonl(workdir / "metrics.jsonl")):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), finish(processes)
        time.sleep(0.02)


def losses(workdir):
    rows = read_jsonl(workdir / "metrics.jsonl")
    return {(r["split"], r["step"]): r["loss"] for r in rows}


def train(workdir, *more):
    return ["train", *OPTIONS, f"--workdir={workdir}", *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Workdir of a run in one process with eight devices."""
    folder = tmp_path_factory.mktemp("whole")
    run(1, 8, *train(folder))
    return folder


@pytest.fixture(scope="module")
def moved(whole, tmp_path_factory):
    """Workdir of the run that goes through two, one and two processes."""
    folder = tmp_path_factory.mktemp("moved")
    data = f"--config.data.path={whole / 'data' / 'pack'}"
    clips = [folder.with_name(f"clips{number}") for number in range(4)]

    both = start(2, 4, *train(folder, data), clips=clips[0])  # mesh (8, 1, 1)
    wait_for_step(folder, 2, both)
    both[1].kill()
    began = time.monotonic()
    (code, _, errors), _ = finish(both)
    assert time.monotonic() - began < 60
    assert code not in (0, 75)
    assert "another process of the run has ended" in errors or "another task died" in errors

    (one,) = start(
        1, 4, *train(folder, data, "--config.mesh.fsdp=2"), clips=clips[1], held=5
    )  # mesh (2, 2, 1)
    wait_for_step(folder, 5, [one])
    one.send_signal(signal.SIGTERM)
    ((code, _, errors),) = finish([one])
    assert code == 75, errors

    both = start(
        2, 4, *train(folder, data, "--config.mesh.fsdp=4"), clips=clips[2], held=7
    )  # mesh (2, 4, 1)
    wait_for_step(folder, 7, both)
    both[1].send_signal(signal.SIGTERM)
    results = finish(both)
    assert [code for code, _, _ in results] == [75, 75], results

    results = run(2, 4, *train(folder, data), clips=clips[3])
    assert "resuming at step" in results[0][2] and "resuming at step" not in results[1][2]
    assert "{" not in results[1][1]  # results are printed once
    return folder


def test_the_losses_are_those_of_one_process_that_was_not_stopped(whole, moved):
    expected, found = losses(whole), losses(moved)
    assert len(found) == 2 * EPOCHS and found.keys() == expected.keys()
    for key, loss in expected.items():
        np.testing.assert_allclose(found[key], loss, rtol=2e-4, err_msg=str(key))


def read_clips(path):
    """Returns the clips that each process of a command read, by the number of the batch."""
    found = []
    for file in sorted(path.parent.glob(f"{path.name}-*")):
        lines = file.read_text().splitlines()
        complete = lines[:-1] if path.name == "clips0" else lines  # a kill may cut a line short
        found.append(dict(map(json.loads, complete)))
    return found


def test_no_clip_of_an_epoch_is_lost_or_read_twice(moved):
    """An epoch is one batch. A batch is counted in each command whose processes all read it."""
    everything, covered = None, set()
    for number, count in enumerate((2, 1, 2, 2)):
        parts = read_clips(moved.with_name(f"clips{number}"))
        assert len(parts) == count
        for batch in set.intersection(*map(set, parts)):
            clips = [clip for part in parts for clip in part[batch]]
            assert {len(part[batch]) for part in parts} == {8 // count}
            assert len(set(clips)) == len(clips) == 8  # all of the training videos, once each
            everything = everything or set(clips)
            assert set(clips) == everything
            covered.add(batch)
    assert covered >= set(range(EPOCHS))


def test_only_process_0_writes_and_every_step_has_checksums(moved):
    steps = [row["step"] for row in read_jsonl(moved / "metrics.jsonl") if row["split"] == "train"]
    assert steps == list(range(1, EPOCHS + 1))
    assert len((moved / "history.csv").read_text().splitlines()) == EPOCHS + 1
    last = moved / "checkpoints/last" / str(EPOCHS)
    listed = json.loads((last / "checksums.json").read_text())["sha256"]
    assert any("process_1" in name or "ocdbt" in name for name in listed)


def test_two_processes_evaluate_exactly_as_one(moved, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    run(1, 8, "evaluate", "--workdir", moved, "--out", one)
    results = run(2, 4, "evaluate", "--workdir", moved, "--out", two, "--json")
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in (one, two)]
    assert len(tables[0]) % 8  # the last batch is not full
    pd.testing.assert_frame_equal(*tables)
    assert json.loads(results[0][1].splitlines()[-1])
    assert "{" not in results[1][1]


def test_two_processes_divide_the_inputs_of_predict(moved, whole, tmp_path):
    clips = sorted((whole / "data/synthetic").rglob("*.jpg"))[:5]
    command = ["predict", "--workdir", moved, *clips, "--detector", "none", "--json"]
    ((_, expected, _),) = run(1, 4, *command)
    (_, found, _), (_, nothing, _) = run(2, 4, *command, "--out", tmp_path)
    assert json.loads(found.splitlines()[-1]) == json.loads(expected.splitlines()[-1])
    assert "{" not in nothing
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line["input"] for line in lines] == [str(clip) for clip in clips]
    assert len(list(tmp_path.glob("*.png"))) == len(clips)


def test_two_processes_compute_the_features_that_one_computes(whole, tmp_path):
    command = ["data", "features", "--data", whole / "data/pack", "--size", "32", "--width", "0.1"]
    one, two = tmp_path / "one", tmp_path / "two"
    run(1, 1, *command, "--one-block", "--out", one)
    run(2, 1, *command, "--one-block", "--out", two)
    files = [sorted(folder.glob("features-*.npy")) for folder in (one, two)]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
    assert files[0]
    assert "reused" in run(2, 1, *command, "--one-block", "--out", two)[0][1]
