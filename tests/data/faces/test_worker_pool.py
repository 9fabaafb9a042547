"""A task that hangs, crashes or fails costs itself only."""

import errno
import os
import time

import pytest

from dfjax.data.faces.worker_pool import run_tasks
from dfjax.errors import InputError


def act(task):
    if task == "hang":
        time.sleep(600)
    if task == "die":
        os._exit(3)
    if task == "refuse":
        raise InputError("no face in it")
    if task == "fill":
        raise OSError(errno.ENOSPC, "No space left on device", "a.jpg")
    return task.upper()


def test_every_task_has_its_outcome():
    tasks = ["a", "hang", "die", "b", "refuse", "c", "d"]
    outcomes = {o.position: o for o in run_tasks(act, tasks, workers=2, time_limit=1.5)}
    assert sorted(outcomes) == list(range(len(tasks)))
    values = [outcomes[i].value for i in range(len(tasks))]
    assert values == ["A", None, None, "B", None, "C", "D"]
    assert outcomes[1].error == "took longer than the limit of 1.5 s"
    assert outcomes[2].error == "the process reading it died (exit code 3)"
    assert outcomes[4].error == "no face in it"
    assert all(outcomes[i].error is None for i in (0, 3, 5, 6))


def test_no_tasks_start_no_process():
    assert list(run_tasks(act, [], workers=4, time_limit=1.0)) == []


def test_a_full_disk_ends_it_all():
    with pytest.raises(OSError, match="No space left on device: 'a.jpg'"):
        list(run_tasks(act, ["fill", "a", "b"], workers=1, time_limit=30.0))
