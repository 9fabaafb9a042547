"""Work on many files in processes that may be lost: a hanging or crashing one costs its own file.

`concurrent.futures` cannot stop a single worker that hangs inside a decoder; this pool can. Workers
are plain subprocesses: those of `multiprocessing` would run the caller's script again, unless it
has `if __name__ == "__main__"`, and forked ones would copy the locks of JAX's threads.
"""

import contextlib
import errno
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import cv2

from dfjax.errors import InputError, UsageError

PROGRAM = """
import sys
sys.path[:] = {path!r}
from dfjax.data.faces.worker_pool import serve
serve({descriptor})
"""


class Outcome(NamedTuple):
    """What became of task number `position`: a value, or the reason why there is none."""

    position: int
    value: Any
    error: str | None


def check_limits(workers: int | None, time_limit: float) -> int:
    """Returns the number of workers, that of cores where it is None.

    Raises:
        UsageError: one of the two is not positive.
    """
    if workers is None:
        workers = os.cpu_count() or 1
    if workers < 1 or not 0 < time_limit < math.inf:
        raise UsageError(
            f"workers and time_limit must be positive, not {workers} and {time_limit:g}"
        )
    return workers


def run_tasks(
    function: Callable[[Any], Any], tasks: Sequence[Any], *, workers: int, time_limit: float
) -> Iterator[Outcome]:
    """Yields an outcome per task, in the order in which they finish.

    An `InputError` of the function becomes the outcome's error; so does a process that dies (its
    traceback is on standard error) or takes longer than the time limit (it is killed). The others
    go on. Closing the iterator, or an exception such as Ctrl-C, kills the workers; so does a full
    disk, which would fail all that follow.

    Args:
        function: a function of a module, called in another process.
        tasks: its arguments, picklable.
        workers: number of processes, at least 1.
        time_limit: seconds for one task.

    Raises:
        OSError: the disk is full.
    """
    queue = list(enumerate(tasks))[::-1]
    pool = [_Worker(function) for _ in range(min(workers, len(queue)))]
    try:
        while any(worker.position is not None for worker in pool) or queue:
            _wait(pool)
            for worker in pool:
                outcome = worker.poll(time_limit)
                if outcome is not None:
                    yield outcome
                if worker.ready and queue:
                    worker.start(*queue.pop(), time_limit)
    finally:
        for worker in pool:
            worker.kill()


def _wait(pool: list["_Worker"]) -> None:
    now = time.monotonic()
    nearest = min((w.deadline for w in pool if w.position is not None), default=now + 1)
    wait([w.connection for w in pool], timeout=max(0.0, min(nearest - now, 1.0)))


class _Worker:
    """One process and the task it has; started again when it is lost."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self._launch()

    def _launch(self) -> None:
        self.connection, theirs = Pipe()
        program = PROGRAM.format(path=sys.path, descriptor=theirs.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()  # so that its death shows as the end of the pipe
        with contextlib.suppress(BrokenPipeError):  # it died: `poll` finds out and says so
            self.connection.send(self.function)
        self.ready = False
        self.position: int | None = None
        self.deadline = float("inf")

    def start(self, position: int, task: Any, time_limit: float) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died idle: `poll` finds out and says so
            self.connection.send(task)
        self.ready = False
        self.position = position
        self.deadline = time.monotonic() + time_limit

    def poll(self, time_limit: float) -> Outcome | None:
        """Returns the outcome of its task if there is one by now."""
        try:
            if self.connection.poll():
                value, error = self.connection.recv()
                position, self.position, self.ready = self.position, None, True
                if isinstance(error, OSError):
                    raise error
                return None if position is None else Outcome(position, value, error)
        except (EOFError, ConnectionResetError):
            self.process.wait()
            if self.position is None:
                raise RuntimeError("a worker process did not start; its message is above") from None
            return self._lose(f"the process reading it died (exit code {self.process.returncode})")
        if self.position is not None and time.monotonic() > self.deadline:
            return self._lose(f"took longer than the limit of {time_limit:g} s")
        return None

    def _lose(self, error: str) -> Outcome:
        assert self.position is not None
        outcome = Outcome(self.position, None, error)
        self.kill()
        self._launch()
        return outcome

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()


def serve(descriptor: int) -> None:
    """Answers tasks over a pipe until the parent process closes it.

    Args:
        descriptor: File descriptor of this end of the pipe. The function comes through it first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)  # one process per core
    connection = Connection(descriptor)
    try:
        function = connection.recv()
        connection.send((None, None))  # ready: only now does a time limit count
        while True:
            connection.send(_answer(function, connection.recv()))
    except (EOFError, ConnectionError):
        return  # the parent is gone


def _answer(function: Callable[[Any], Any], task: Any) -> tuple[Any, str | OSError | None]:
    try:
        return function(task), None
    except InputError as error:
        return None, str(error)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return None, OSError(error.errno, error.strerror, error.filename)
