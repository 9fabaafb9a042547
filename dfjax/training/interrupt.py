"""Requests to stop a training run, which the loop carries out between two steps."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from dfjax import processes
from dfjax.console import say

POLL_SECONDS = 0.3  # between looks for a request of another process


class Stopped(Exception):
    """Raised when a run stops on request, after it has saved everything.

    Attributes:
        reason: Name of a signal, such as `SIGTERM`, or `interrupt`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"stopped by {reason}")
        self.reason = reason


class Interrupt:
    """State shared between the training loop and a signal handler or another thread.

    Attributes:
        requested: Reason of the first request, or None.
        training: Whether the loop is running. While it runs, a request takes effect in `check`, and
            the loop then saves; otherwise no training step can be lost, and the process may end at
            once.
        idle: Whether everything computed so far is saved, so that the process may end at any
            moment.
        abandoned: Whether the caller no longer waits for the run, which then ends without saving.
        ended: Set when the thread of an abandoned run has ended.
    """

    def __init__(self) -> None:
        self._agreement: _Agreement | None = None
        self.requested: str | None = None
        self.training = False
        self.idle = True
        self.abandoned = False
        self.ended = threading.Event()

    def request(self, reason: str) -> None:
        """Requests that the loop save and stop; later requests do not change the reason."""
        self.requested = self.requested or reason
        if self._agreement:
            self._agreement.request(self.requested)

    def check(self) -> None:
        """Checks for a request; of several processes all stop in the same call.

        Raises:
            Stopped: A stop was requested.
        """
        if processes.count() > 1:
            self._agreement = self._agreement or _Agreement(self.requested)
            self._agreement.check()
        elif self.requested is not None:
            raise Stopped(self.requested)


class _Agreement:
    """Makes all processes stop in the same call of `check`, of which they make equally many.

    A thread looks for a request that a process has published. It then holds up `check` until the
    numbers of calls of all processes are known, and lets the call after the largest of them stop.
    Until there is a request, a call costs nothing but a lock.

    Args:
        requested: Reason of a request that was made before.
    """

    def __init__(self, requested: str | None) -> None:
        self._key = processes.make_key()
        self._lock = threading.Lock()
        self._calls = 0
        self._last: int | None = None  # the call that stops
        self._reason = ""
        threading.Thread(target=self._agree, daemon=False).start()  # also in a daemon thread
        if requested:
            self.request(requested)

    def request(self, reason: str) -> None:
        """Publishes a request; the first of all processes gives the reason."""
        with contextlib.suppress(RuntimeError):  # process 0 has ended, as the next step will say
            processes.publish(self._key, reason)

    def check(self) -> None:
        """Raises `Stopped` in the call that all processes have agreed on."""
        with self._lock:
            self._calls += 1
            if self._calls == self._last:
                raise Stopped(self._reason)

    def _agree(self) -> None:
        # A thread that waits inside JAX would abort the process when the interpreter ends.
        while threading.main_thread().is_alive():
            if reason := processes.find_value(self._key):
                with self._lock:
                    self._reason = reason
                    self._last = 1 + processes.find_largest(f"{self._key}-calls", self._calls)
                return
            time.sleep(POLL_SECONDS)


def run_interruptible(function: Callable[[], Any], interrupt: Interrupt) -> None:
    """Runs `function` in a thread and turns a `KeyboardInterrupt` into a request to stop.

    Python raises `KeyboardInterrupt` in the main thread between any two instructions. Inside a
    training step it would leave a state whose arrays are donated and not yet replaced. Here the
    main thread only waits: the training thread finishes its step, or its compilation, and saves.

    Args:
        function: Function that calls `interrupt.check` between steps.
        interrupt: Object that receives the request on the first `KeyboardInterrupt`; the second one
            sets its `abandoned`.

    Raises:
        Stopped: The run was interrupted and has saved everything.
        KeyboardInterrupt: There was a second interrupt; the run ends after its current step without
            saving.
    """
    failed: list[BaseException] = []
    begin, done = threading.Event(), threading.Event()

    def run() -> None:
        begin.wait()  # so that nothing has begun if `Thread.start` itself is interrupted
        try:
            if not interrupt.abandoned:
                function()
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            failed.append(error)
        finally:
            done.set()
            interrupt.ended.set()

    threading.Thread(target=run, name="dfjax-train", daemon=True).start()
    try:
        begin.set()
        _wait(done)
    except KeyboardInterrupt:
        try:
            begin.set()  # the interrupt may have come before it
            interrupt.request("interrupt")
            say("interrupt: saving after this step or compilation; another leaves without saving")
            _wait(done)
        except KeyboardInterrupt:
            interrupt.abandoned = True
            begin.set()  # the thread ends, also if it has not begun
            raise
    if failed:
        raise failed[0]


@contextlib.contextmanager
def held_for(interrupt: Interrupt) -> Iterator[contextlib.ExitStack]:
    """Yields a stack of what a run needs, such as its lock, which is released with the run.

    This is at the end of the block, or, if the run is abandoned, when its thread has ended.

    Args:
        interrupt: Interrupt of the run.
    """
    with contextlib.ExitStack() as stack:
        try:
            yield stack
        except BaseException:
            if interrupt.abandoned:
                later = stack.pop_all()
                threading.Thread(target=_release, args=(interrupt, later), daemon=True).start()
            raise


def _release(interrupt: Interrupt, stack: contextlib.ExitStack) -> None:
    interrupt.ended.wait()
    stack.close()


def _wait(done: threading.Event) -> None:
    """Waits; raises `KeyboardInterrupt` also for a signal that the system gave to another thread.

    `Thread.join` cannot be used: when it is interrupted, it marks a running thread as finished
    (CPython 3.11).
    """
    while not done.wait(0.1):
        os.kill(os.getpid(), 0)  # sends nothing, but makes Python run pending signal handlers
