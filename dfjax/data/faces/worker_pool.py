"""Processes many files in worker processes; a worker that hangs or crashes costs only its file.

`concurrent.futures` cannot stop a single worker that hangs inside a decoder; this pool can. Workers
are plain subprocesses. Those of `multiprocessing` would run the caller's script again if it lacks
`if __name__ == "__main__"`, and forked processes would copy the locks of JAX's threads.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import cv2

from dfjax.child_processes import end_with_parent
from dfjax.errors import InputError, UsageError, is_full_disk

PROGRAM = """
import sys
sys.path[:] = {path!r}
from dfjax.data.faces.worker_pool import serve
serve({descriptor}, parent={parent}, by_kernel={by_kernel})
"""


class Outcome(NamedTuple):
    """Result of task number `position`: a value, or an error."""

    position: int
    value: Any
    error: str | None


def check_limits(workers: int | None, time_limit: float) -> int:
    """Returns the number of workers, which is the number of cores for None.

    Args:
        workers: Number of workers, or None.
        time_limit: Seconds per task.

    Raises:
        UsageError: The number of workers or the time limit is not positive.
    """
    if workers is None:
        workers = os.cpu_count() or 1
    if workers < 1 or not 0 < time_limit < math.inf:
        raise UsageError(
            f"workers and time_limit must be positive, not {workers} and {time_limit:g}"
        )
    return workers


def always() -> bool:
    """Returns True: `run_tasks` starts every task as soon as a worker is free."""
    return True


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    workers: int,
    time_limit: float,
    may_start: Callable[[], bool] = always,
) -> Iterator[Outcome]:
    """Yields an outcome per task, in the order in which they finish.

    An outcome has an error if the function raises an `InputError`, if its process dies (the
    traceback is on standard error), or if it exceeds the time limit (the process is killed). The
    other tasks continue. Closing the iterator kills the workers, and so does an exception such as
    Ctrl-C or a full disk.

    Args:
        function: Function of a module, which is called in another process.
        tasks: Picklable arguments of the function, one per task.
        workers: Number of processes, at least 1.
        time_limit: Seconds per task.
        may_start: Function that returns whether a further task may be started now. It must return
            True when no outcome is kept by the caller, and tasks start in their order, so a caller
            that needs outcomes in this order can limit how many of them wait for an earlier one.

    Raises:
        OSError: The disk is full.
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
                if worker.ready and queue and may_start():
                    worker.start(*queue.pop(), time_limit)
    finally:
        for worker in pool:
            worker.kill()


def _wait(pool: list["_Worker"]) -> None:
    now = time.monotonic()
    nearest = min((w.deadline for w in pool if w.position is not None), default=now + 1)
    wait([w.connection for w in pool], timeout=max(0.0, min(nearest - now, 1.0)))


@contextlib.contextmanager
def _block(number: signal.Signals) -> Iterator[None]:
    """Blocks a signal in this thread; a process that is started meanwhile never receives it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One worker process and its current task. The process is restarted if it is lost."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self._launch()

    def _launch(self) -> None:
        self.connection, theirs = Pipe()
        program = PROGRAM.format(
            path=sys.path,
            descriptor=theirs.fileno(),
            parent=os.getpid(),
            # The kernel would also kill the worker when the thread that started it ends.
            by_kernel=threading.current_thread() is threading.main_thread(),
        )
        with _block(signal.SIGINT):  # Ctrl-C reaches the whole group, and this process handles it
            self.process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        theirs.close()  # the pipe then ends when the process dies
        with contextlib.suppress(BrokenPipeError):  # the process died, which `poll` reports
            self.connection.send(self.function)
        self.ready = False
        self.position: int | None = None
        self.deadline = float("inf")

    def start(self, position: int, task: Any, time_limit: float) -> None:
        with contextlib.suppress(BrokenPipeError):  # the idle process died, which `poll` reports
            self.connection.send(task)
        self.ready = False
        self.position = position
        self.deadline = time.monotonic() + time_limit

    def poll(self, time_limit: float) -> Outcome | None:
        """Returns the outcome of the current task, or None if it is not finished."""
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


def serve(descriptor: int, *, parent: int, by_kernel: bool) -> None:
    """Answers tasks over a pipe until the parent process closes it or ends in any way.

    Args:
        descriptor: File descriptor of this end of the pipe. The function comes through it first.
        parent: Id of the parent process.
        by_kernel: Whether the kernel is also asked to kill this process with its parent.
    """
    end_with_parent(parent, pipe=descriptor, by_kernel=by_kernel)
    cv2.setNumThreads(1)  # one process per core
    connection = Connection(descriptor)
    try:
        function = connection.recv()
        connection.send((None, None))  # ready; the time limit of a task starts after this
        while True:
            connection.send(_answer(function, connection.recv()))
    except (EOFError, ConnectionError):
        return  # the parent has ended


def _answer(function: Callable[[Any], Any], task: Any) -> tuple[Any, str | OSError | None]:
    try:
        return function(task), None
    except InputError as error:
        return None, str(error)
    except OSError as error:
        if not is_full_disk(error):
            raise
        return None, OSError(error.errno, error.strerror, error.filename)
