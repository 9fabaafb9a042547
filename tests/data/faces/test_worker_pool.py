"""Tests that a task that hangs, crashes or fails does not affect the other tasks."""

import errno
import os
import signal
import string
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest

from dfjax.data.faces import worker_pool
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
    if isinstance(task, Path):
        while not task.exists():
            time.sleep(0.02)
        time.sleep(0.3)
        return task
    return task.upper()


def test_an_interrupt_of_the_group_does_not_reach_a_worker_that_is_starting(monkeypatch):
    start = subprocess.Popen

    def start_and_interrupt(*args, **kwargs):
        process = start(*args, **kwargs)
        os.kill(process.pid, signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", start_and_interrupt)
    assert [one.value for one in run_tasks(act, ["a"], workers=1, time_limit=60.0)] == ["A"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_every_task_has_its_outcome(monkeypatch):
    """The clock stands still until only the task that hangs is under way."""
    tasks, outcomes = ["a", "hang", "die", "b", "refuse", "c", "d"], {}
    clock = types.SimpleNamespace(monotonic=lambda: 2.0 if len(outcomes) >= 3 else 0.0)
    monkeypatch.setattr(worker_pool, "time", clock)
    for outcome in run_tasks(act, tasks, workers=2, time_limit=1.5):
        outcomes[outcome.position] = outcome
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


def test_a_script_without_a_main_guard_is_run_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import os.path
        print("once")
        from dfjax.data.faces.worker_pool import run_tasks
        outcomes = run_tasks(os.path.basename, ["a/b", "c/d"], workers=2, time_limit=60.0)
        print(sorted(outcome.value for outcome in outcomes))
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "once\n['b', 'd']\n"), done.stderr


@pytest.mark.parametrize("thread", ["main", "other"])
@pytest.mark.parametrize("task", ["idle", "busy"])
def test_workers_end_with_the_process_that_started_them(tmp_path, task, thread):
    """Killed while a worker waits for a task, and in the middle of one of ten minutes."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal, sys, threading, time
        from dfjax.data.faces.worker_pool import run_tasks

        def run():
            tasks = [0.0, 0.0] if {task!r} == "idle" else [0.0, 600.0]
            outcomes = run_tasks(time.sleep, tasks, workers=1, time_limit=900.0)
            next(outcomes)
            print(outcomes.gi_frame.f_locals["pool"][0].process.pid, flush=True)
            if {task!r} == "busy":
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
                next(outcomes)
            os.kill(os.getpid(), signal.SIGKILL)

        if {thread!r} == "main":
            run()
        threading.Thread(target=run).start()
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    worker = int(done.stdout)
    for _ in range(1200):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if is_zombie(worker):
            return
        time.sleep(0.05)
    raise AssertionError("the worker is still there")


def is_zombie(process):
    """Whether a process has ended and only waits for its parent, which is not ours to do."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False


def test_a_slow_task_holds_up_only_as_many_others_as_the_caller_keeps(tmp_path):
    waiting, most, following = {}, 0, 0
    tasks = [tmp_path / "go", *string.ascii_uppercase]

    def may_start():
        return len(waiting) < 4

    for outcome in run_tasks(act, tasks, workers=3, time_limit=600.0, may_start=may_start):
        waiting[outcome.position] = outcome.value
        most = max(most, len(waiting))
        if len(waiting) >= 4:
            tasks[0].touch()
        while following in waiting:
            assert waiting.pop(following) == tasks[following]
            following += 1
    assert following == len(tasks)
    assert 4 <= most <= 4 + 3  # those that wait, and one that each worker had begun
