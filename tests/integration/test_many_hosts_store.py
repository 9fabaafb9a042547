"""Tests a run of two processes whose workdir is in an object store, and who share no folder.

A folder stands in for the store (`bucket`), and each process has a copy of the workdir.
"""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from several_processes import LIMIT, finish, start_processes

from dfjax.training.metric_writer import read_jsonl

pytestmark = [pytest.mark.slow, pytest.mark.release, pytest.mark.usefixtures("compiled_quickly")]

URL = "gs://bucket/run"
TRAIN = [
    *("train", "--config=meso4:smoke", "--config.train.epochs=3", "--config.train.log_every=1"),
    "--config.phases=(('train.epochs=1',),)",  # the second starts from the best step of the first
    *("--config.train.batch_size=8", "--config.eval.batch_size=8", "--config.mesh.fsdp=2"),
    *("--config.checkpoint.every_steps=1", "--config.train.ema_decay=0.9"),
]
PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from bucket import Bucket, stand_in
from dfjax.commands.main import main
Bucket.folder = {folder!r}
with stand_in():
    sys.exit(main())
"""


def start(place, count, *arguments):
    """Starts the processes of a command, which have four devices together."""
    tests = str(Path(__file__).parents[1])
    program = PROGRAM.format(tests=tests, folder=str(place / "store"))
    cache = str(place / "cache")
    return start_processes(count, 4 // count, "-c", program, *arguments, XDG_CACHE_HOME=cache)


def run(place, count, *arguments):
    """Returns what the processes of a command print and report."""
    results = finish(start(place, count, *arguments))
    assert [code for code, _, _ in results] == [0] * count, results
    return [(out, err) for _, out, err in results]


def losses(workdir):
    """Returns the losses of both phases."""
    files = [workdir / "phase1/metrics.jsonl", workdir / "metrics.jsonl"]
    return {
        (phase, row["split"], row["step"]): row["loss"]
        for phase, file in enumerate(files, 1)
        for row in read_jsonl(file)
    }


def test_a_run_goes_on_from_the_store_after_the_death_of_a_process(tmp_path):
    workdir = tmp_path / "store/bucket/run"
    workdir.mkdir(parents=True)
    both = start(tmp_path, 2, *TRAIN, f"--workdir={URL}")
    deadline = time.monotonic() + LIMIT
    while not (workdir / "phase1/checkpoints/last/1/checksums.json").is_file():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in both), finish(both)
        time.sleep(0.02)
    both[1].kill()
    assert both[0].wait(timeout=60) not in (0, 75)
    finish(both)

    shutil.rmtree(tmp_path / "cache")  # as on other machines
    (printed, said), (nothing, _) = run(tmp_path, 2, *TRAIN, f"--workdir={URL}", "--json")
    assert "resuming at step" in said and "{" not in nothing
    assert json.loads(printed.splitlines()[-1])["workdir"] == URL
    assert not (workdir / "lock.json").exists()
    assert not list(workdir.rglob("ocdbt.process_1"))

    whole = tmp_path / "whole"
    run(tmp_path, 1, *TRAIN, f"--workdir={whole}", f"--config.data.path={workdir / 'data/pack'}")
    expected, found = losses(whole), losses(workdir)
    assert len(found) == 8 and found.keys() == expected.keys()
    for key, loss in expected.items():
        np.testing.assert_allclose(found[key], loss, rtol=2e-4, err_msg=str(key))

    run(tmp_path, 2, "evaluate", "--workdir", URL)
    assert (workdir / "eval/test/metrics.json").is_file()
