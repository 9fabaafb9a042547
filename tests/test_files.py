"""Atomic writes: what killed processes leave is removed by the next write into the folder."""

import os
import signal
import subprocess
import sys

from dfjax.files import _remove_abandoned, write_text

KILLED = """
import os, signal, sys
from dfjax.files import atomic_path
with atomic_path(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_partial(path):
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = path.parent.glob(".*.partial*")
    return left


def test_files_of_killed_processes_are_removed_and_those_of_others_are_not(tmp_path):
    left = leave_partial(tmp_path / "metrics.json")
    mine, other = tmp_path / ".mine.partial", left.with_name(".0123abcd.00000000-1.partial.png")
    running = left.with_name(left.name.replace(left.name.split("-")[1].split(".")[0], "1"))
    for file in (mine, other, running):
        file.touch()
    _remove_abandoned.cache_clear()
    write_text(tmp_path / "history.csv", "x")
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {mine.name, other.name, running.name, "history.csv"}


def test_a_folder_is_searched_once(tmp_path, monkeypatch):
    looked = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: looked.append(folder) or listdir(folder))
    for number in range(3):
        write_text(tmp_path / "a" / f"{number}.txt", "x")
    assert looked == [tmp_path / "a"]
