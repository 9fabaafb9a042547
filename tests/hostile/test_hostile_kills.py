"""Kills, full disks, folders that are read-only or vanish, two runs in one folder.

The same command again gives the result of a run that nobody disturbed; nothing is there twice, no
process stays, and what went wrong is one line.
"""

import random
import threading
import time

import pytest
from command_server import Server
from hostile_cases import SEED
from hostile_runs import RUNS

pytestmark = pytest.mark.slow
KILLS = 4
each = pytest.mark.parametrize("command", RUNS, ids=lambda command: command.__name__)


@pytest.fixture(scope="module")
def server():
    started = Server()
    yield started
    started.close()


@pytest.fixture(scope="module")
def wholes(server, honest, tmp_path_factory):
    """The result of each command, undisturbed, and how it ended."""
    found = {}
    for command in RUNS:
        out = tmp_path_factory.mktemp(command.__name__) / "out"
        ended = start(server, honest, command, out)
        assert ended.code in (0, 1), ended.text
        found[command] = out, ended
    return found


def start(server, honest, command, out, **disturbance):
    """Runs a command; changes beside its output folder count too, where a pack is written."""
    out.parent.mkdir(exist_ok=True)
    return server.run(*command(honest, out), place=out.parent, **disturbance)


def finish(server, honest, command, out, wholes, about):
    """Runs the command to its end and compares what it makes."""
    whole, undisturbed = wholes[command]
    finished = start(server, honest, command, out)
    assert finished.code == undisturbed.code, f"{about}: {finished.text}"
    RUNS[command](whole, out)


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=[pytest.mark.release] * (c.__name__ == "extract")) for c in RUNS],
    ids=lambda command: command.__name__,
)
def test_kills_at_random_moments(command, server, honest, wholes, tmp_path):
    undisturbed = wholes[command][1]
    rng = random.Random(f"{SEED}/{command.__name__}")
    killed = 0
    out = tmp_path / "place" / "out"
    for number in range(KILLS):
        if rng.random() < 0.6:
            moment = {"kill_at": rng.randint(1, 1 + undisturbed.changes // 2)}
        else:
            moment = {"kill_after": rng.uniform(0, undisturbed.seconds / 2)}
        ended = start(server, honest, command, out, **moment)
        about = f"seed {SEED}, kill {number} at {moment}"
        assert ended.code in (-9, undisturbed.code), f"{about}: {ended.text}"
        assert not ended.left, f"{about}: processes stay"
        killed += ended.code == -9
    finish(server, honest, command, out, wholes, about)
    assert killed >= KILLS / 4  # a run that continues may be over before its moment


def check_failure(ended, about):
    """One line says what went wrong, and the code is that of a failure."""
    lines = [line for line in ended.text.splitlines() if line.startswith("dfjax: ")]
    assert ended.code in (1, 2) and not ended.left, f"{about}: {ended.code} {ended.text}"
    assert "Traceback" not in ended.text, f"{about}: {ended.text}"
    assert lines, f"{about}: no message: {ended.text}"


@each
def test_full_disk(command, server, honest, wholes, tmp_path):
    """The disk is full from some change on, or takes no file above some size."""
    whole, undisturbed = wholes[command]
    rng = random.Random(f"{SEED}/full/{command.__name__}")
    sizes = sorted({p.stat().st_size for p in whole.rglob("*") if p.is_file()} - {0})
    faults = [{"fault": "full", "start": rng.randint(1, undisturbed.changes)} for _ in range(2)]
    faults += [{"most_bytes": size - 1} for size in rng.sample(sizes, 1)]
    for number, fault in enumerate(faults):
        out = tmp_path / str(number) / "out"
        ended = start(server, honest, command, out, **fault)
        if ended.code == undisturbed.code:  # only a renaming was left to do
            RUNS[command](whole, out)
        else:
            check_failure(ended, f"seed {SEED}, {fault}")
        finish(server, honest, command, out, wholes, f"after {fault}")


@each
def test_a_folder_that_cannot_be_written(command, server, honest, wholes, tmp_path):
    out = tmp_path / "place" / "out"
    check_failure(start(server, honest, command, out, fault="read_only"), "read-only")
    finish(server, honest, command, out, wholes, "after a read-only folder")


@each
def test_a_folder_that_vanishes(command, server, honest, wholes, tmp_path):
    """Somebody deletes the folder in the middle of a run, which ends, or makes it anew."""
    rng = random.Random(f"{SEED}/vanish/{command.__name__}")
    for number in range(2):
        out, moment = tmp_path / str(number) / "out", rng.randint(2, wholes[command][1].changes)
        ended = start(server, honest, command, out, fault="vanish", start=moment)
        if ended.code != wholes[command][1].code:
            check_failure(ended, f"seed {SEED}, gone at change {moment}")
        else:
            RUNS[command](wholes[command][0], out)


@each
def test_two_runs_in_one_folder(command, server, honest, wholes, tmp_path):
    """The second says so and leaves; the first does not notice."""
    out, other, ended = tmp_path / "place" / "out", Server(), []
    other.run("doctor", place=out)  # it is up
    first = threading.Thread(target=lambda: ended.append(start(server, honest, command, out)))
    first.start()
    while not out.parent.exists() or not any(out.parent.iterdir()):
        time.sleep(0.001)
    second = start(other, honest, command, out)
    first.join()
    other.close()
    code = wholes[command][1].code
    codes = {second.code, ended[0].code}
    assert codes <= {2, code} and code in codes, f"{second}\n{ended}"
    for run in (second, ended[0]):
        assert "Traceback" not in run.text and not run.left
    RUNS[command](wholes[command][0], out)
