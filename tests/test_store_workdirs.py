"""Tests workdirs in object stores: train, kill, resume elsewhere, evaluate, predict, and the lock.

A folder stands in for the stores (`bucket`).
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bucket import Bucket, stand_in

import dfjax
from dfjax import store_copies, store_lease
from dfjax.commands.main import main
from dfjax.errors import RunError, UsageError
from dfjax.store_copies import Mirror, download, list_files
from dfjax.store_lease import Lease
from dfjax.store_workdirs import hold_workdir, read_workdir_copy
from dfjax.training.metric_writer import read_jsonl

URL = "gs://bucket/run"
TRAIN = [
    *("train", "--config=meso4:smoke", "--config.train.epochs=3", "--config.train.log_every=1"),
    "--config.checkpoint.every_steps=1",
]
CHILD = """
import sys
sys.path.insert(0, {tests!r})
from bucket import Bucket, stand_in
from dfjax.commands.main import main
Bucket.folder = {folder!r}
with stand_in():
    sys.exit(main({arguments!r}))
"""


@pytest.fixture(autouse=True)
def stores(tmp_path, monkeypatch):
    monkeypatch.setattr(Bucket, "folder", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, seconds in {"RENEW": 0.1, "EXPIRE": 60.0, "SETTLE": 0.05, "POLL": 0.05}.items():
        monkeypatch.setattr(store_lease, name, seconds)
    monkeypatch.setattr(store_copies, "RETRIES", (0.01,))
    (tmp_path / "store/bucket").mkdir(parents=True)
    with stand_in():
        yield


@pytest.fixture
def place(tmp_path):
    return tmp_path / "store/bucket/run"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_what_changes_is_uploaded_and_what_is_gone_is_removed(place):
    with hold_workdir(Path(URL)) as (folder, push, *_):
        write(folder / "config.json", "{}")
        write(folder / "checkpoints/last/1/arrays/d", "1")
        write(folder / "checkpoints/last/1/checksums.json", "a")
        write(folder / ".lock", "")
        write(folder / "checkpoints/last/2.orbax-checkpoint-tmp/d", "")
        assert names(place) == ["lock.json"]
        push()
        step = ["checkpoints/last/1/arrays/d", "checkpoints/last/1/checksums.json", "config.json"]
        assert names(place) == [*step, "lock.json"]
        before = (place / "config.json").stat().st_mtime_ns
        shutil.rmtree(folder / "checkpoints/last/1")
        write(folder / "history.csv", "epoch")
    assert names(place) == ["config.json", "history.csv"]
    assert (place / "config.json").stat().st_mtime_ns == before


def test_a_step_that_was_not_uploaded_to_its_end_is_not_read(place, tmp_path):
    for step in (1, 2):
        write(place / f"phase1/checkpoints/last/{step}/arrays/d", str(step))
    write(place / "phase1/checkpoints/last/1/checksums.json", "a")
    write(place / "config.json", "{}")
    write(tmp_path / "copy/stale", "of a run that was not uploaded")
    download(URL, tmp_path / "copy")
    step = "phase1/checkpoints/last/1"
    assert names(tmp_path / "copy") == ["config.json", f"{step}/arrays/d", f"{step}/checksums.json"]


def test_marks_come_last_and_go_first(place, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(store_copies, "_retry", lambda call, what: sent.append(what))
    mirror = Mirror(URL, tmp_path / "copy", Lease(URL, lambda: None))
    for name in ("checkpoints/last/1/checksums.json", "checkpoints/last/1/d", "metrics.jsonl"):
        write(tmp_path / "copy" / name, "x")
    mirror.push()
    assert [name.rpartition("/")[2] for name in sent] == ["metrics.jsonl", "d", "checksums.json"]
    sent.clear()
    shutil.rmtree(tmp_path / "copy/checkpoints")
    mirror.push()
    assert [name.rpartition("/")[2] for name in sent] == ["checksums.json", "d"]


def test_an_upload_that_fails_is_repeated_and_then_ends_the_run(place, monkeypatch):
    with pytest.raises(RunError, match="cannot write gs://bucket/run/config.json"):
        with hold_workdir(URL) as (folder, push, *_):
            write(folder / "config.json", "{}")
            write(place.parent / "run/config.json/file", "in the way")
            push()
    assert names(place) == ["config.json/file"]  # the lock is released


def test_a_second_run_is_refused_and_the_lock_of_an_ended_one_expires(place, monkeypatch):
    with hold_workdir(URL):
        with pytest.raises(UsageError, match=f"is being trained by process {os.getpid()} on"):
            Lease(URL, lambda: None).take()
    owner = {"token": "t", "host": "another", "process": 7, "count": 3}
    write(place / "lock.json", json.dumps(owner))
    expire, began = 0.5, time.monotonic()
    monkeypatch.setattr(store_lease, "EXPIRE", expire)
    with hold_workdir(URL):
        assert time.monotonic() - began > expire
        monkeypatch.setattr(store_lease, "EXPIRE", 60.0)
        assert json.loads((place / "lock.json").read_text())["host"] == socket.gethostname()


def test_a_run_whose_lock_was_taken_over_writes_nothing(place):
    with pytest.raises(RunError, match="process 7 on another has taken over"):
        with hold_workdir(URL) as (folder, push, *_):
            owner = {"token": "t", "host": "another", "process": 7, "count": 3}
            deadline = time.monotonic() + 60
            while "another has" not in str(check(push)) and time.monotonic() < deadline:
                write(place / "lock.json", json.dumps(owner))
                time.sleep(0.02)
            write(folder / "config.json", "{}")
            push()
    assert names(place) == ["lock.json"]  # the other run's


def check(push):
    try:
        push()
    except RunError as error:
        return error
    return None


def start(tmp_path, *arguments):
    """Starts a verb in another process."""
    tests = str(Path(__file__).parent)
    program = CHILD.format(tests=tests, folder=Bucket.folder, arguments=[*TRAIN, *arguments])
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)


def list_steps(workdir):
    return {name.split("/")[2] for name in list_files(workdir) if "checkpoints/last/" in name}


@pytest.mark.slow
def test_a_killed_run_goes_on_from_the_store(place, tmp_path, capsys, monkeypatch):
    process = start(tmp_path, f"--workdir={URL}")
    mark = place / "checkpoints/last/2/checksums.json"
    while not mark.is_file():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert (place / "lock.json").is_file()
    shutil.rmtree(tmp_path / "cache")  # as on another machine
    assert main([*TRAIN, f"--workdir={URL}", "--json"]) == 0
    captured = capsys.readouterr()
    assert "resuming at step" in captured.err
    assert json.loads(captured.out.splitlines()[-1])["workdir"] == URL
    assert not (place / "lock.json").exists()

    data = f"--config.data.path={place / 'data/pack'}"
    assert main([*TRAIN, f"--workdir={tmp_path / 'local'}", data]) == 0
    losses = [
        {(row["split"], row["step"]): row["loss"] for row in read_jsonl(folder / "metrics.jsonl")}
        for folder in (place, tmp_path / "local")
    ]
    assert losses[0] == losses[1]
    assert list_steps(place) == list_steps(tmp_path / "local")

    shutil.rmtree(tmp_path / "cache")
    expected, found = dfjax.load(tmp_path / "local"), dfjax.load("s3://bucket/run")
    clips = np.random.default_rng(0).integers(
        0, 256, (2, found.config.data.frames, 32, 32, 3), np.uint8
    )
    assert (found.predict(clips) == expected.predict(clips)).all()
    assert main(["evaluate", "--workdir", URL, "--json"]) == 0
    assert (place / "eval/test/metrics.json").is_file()
    image = next((place / "data/synthetic").rglob("*.jpg"))
    command = ["predict", "--workdir", URL, str(image), "--detector", "none", "--json"]
    assert main(command) == 0
    assert list_files(read_workdir_copy(URL, "best")).keys() < list_files(place).keys()
