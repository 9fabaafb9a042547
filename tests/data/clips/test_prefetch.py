"""Tests reading ahead: order, errors, and how reader processes handle signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dfjax.data.clips.prefetch import read_ahead

SCRIPT = """
import multiprocessing, time
from dfjax.data.clips.prefetch import read_ahead
from tests_prefetch_load import load

if __name__ == "__main__":
    batches = read_ahead(range(1000), load, workers=2, threads=0, prefetch=2)
    next(batches), next(batches)  # one from each process: both have started
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""
LOAD = """
import numpy as np

def load(item):
    return {"item": np.array(item)}
"""


def load(item):
    return {"item": np.array(item)}


def is_alive(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # ended just now, or a system without /proc
        return not Path("/proc").is_dir()


def test_order_holds_with_more_threads_than_items():
    for threads, prefetch in ((0, 0), (1, 1), (8, 2), (8, 100)):
        with read_ahead(range(5), load, workers=0, threads=threads, prefetch=prefetch) as batches:
            assert [int(batch["item"]) for batch in batches] == [0, 1, 2, 3, 4]


def test_an_error_while_loading_reaches_the_caller():
    def fail(item):
        raise ValueError(f"item {item} is damaged")

    with read_ahead(range(5), fail, workers=0, threads=2, prefetch=2) as batches:
        with pytest.raises(ValueError, match="is damaged"):
            next(batches)


def test_processes_outlive_signals_to_the_group_but_not_their_parent(tmp_path, root):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "tests_prefetch_load.py").write_text(LOAD)
    parent = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{root}:{tmp_path}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        for pid in children:
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.5)
        assert all(map(is_alive, children))
    finally:
        parent.kill()
        parent.communicate()
    deadline = time.monotonic() + 60
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, children))
