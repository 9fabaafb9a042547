"""Tests that a run killed by `kill -9`, also during a save, resumes to a bitwise equal result."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from final_state import read_final_state

from dfjax.training.metric_writer import read_jsonl

STEPS = 8
TERMINATED = """
import signal, sys
from dfjax.commands.main import main
from dfjax.training.interrupt import Interrupt

check, calls = Interrupt.check, []

def terminate_and_check(interrupt):
    calls.append(interrupt)
    if len(calls) == 3:
        signal.raise_signal(signal.SIGTERM)
    check(interrupt)

Interrupt.check = terminate_and_check
sys.exit(main())
"""
"""The command, which is sent SIGTERM between two of its first steps."""


def command(workdir, *extra, program=("-m", "dfjax")):
    return [
        *(sys.executable, *program, "train", "--config=resnet18:smoke"),
        *(f"--workdir={workdir}", "--config.train.epochs=8", "--config.checkpoint.every_steps=1"),
        *("--config.train.ema_decay=0.9", "--config.data.workers=2", "--config.mesh.data=1"),
        *extra,
    ]


def environment():
    # Most of the time is compilation, in every process anew.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"} | quick


def finish(workdir, *extra, code=0, **options):
    done = subprocess.run(
        command(workdir, *extra, **options),
        env=environment(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-2000:]
    return done


def kill_when(workdir, due, *extra):
    """Starts the run and kills it, with its reading processes, as soon as `due()` holds."""
    process = subprocess.Popen(
        command(workdir, *extra),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not due():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    finish(folder)
    return folder


@pytest.mark.slow
@pytest.mark.release
def test_a_run_killed_again_and_again_ends_with_the_bits_of_one_that_was_not(whole, tmp_path):
    data = f"--config.data.path={whole / 'data' / 'pack'}"

    def logged(step):
        rows = read_jsonl(tmp_path / "metrics.jsonl")
        return lambda: any(
            r["step"] >= step for r in read_jsonl(tmp_path / "metrics.jsonl") or rows
        )

    def saving():
        last = tmp_path / "checkpoints" / "last"
        return last.is_dir() and any("tmp" in path.name for path in last.iterdir())

    for due in (logged(1), saving, logged(5)):
        kill_when(tmp_path, due, data)
    finish(tmp_path, data)
    step, state = read_final_state(tmp_path)
    expected_step, expected = read_final_state(whole)
    assert step == expected_step == STEPS
    jax.tree.map(np.testing.assert_array_equal, state, expected)
    losses = [
        [(r["step"], r["loss"]) for r in read_jsonl(folder / "metrics.jsonl") if "loss" in r]
        for folder in (tmp_path, whole)
    ]
    assert losses[0] == losses[1]
    assert "complete" in finish(tmp_path, data).stdout


@pytest.mark.slow
def test_sigterm_saves_and_exits_75_and_the_next_run_goes_on(whole, tmp_path):
    data = f"--config.data.path={whole / 'data' / 'pack'}"
    finish(tmp_path, data, code=75, program=("-c", TERMINATED))
    finish(tmp_path, data)
    (_, state), (_, expected) = read_final_state(tmp_path), read_final_state(whole)
    jax.tree.map(np.testing.assert_array_equal, state, expected)
