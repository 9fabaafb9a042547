"""A request to stop a run, made from outside the loop and honoured by it between two steps."""

import os
import threading
from collections.abc import Callable
from typing import Any


class Stopped(Exception):
    """A run was asked to stop and has saved everything.

    Attributes:
        reason: Who asked: the name of a signal (`SIGTERM`), or `interrupt`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"stopped by {reason}")
        self.reason = reason


class Interrupt:
    """What a signal handler or another thread and the training loop tell each other.

    Attributes:
        requested: The reason of the first request, or None.
        training: The loop is running: a request is honoured, after saving, by `check`. Otherwise
            no training step can be lost and the process may end at once.
        idle: Everything computed so far has been saved, so the process may end anywhere.
        abandoned: Nobody waits for the run any more: it ends without saving.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self.training = False
        self.idle = True
        self.abandoned = False

    def request(self, reason: str) -> None:
        """Asks the loop to save and stop; the first reason counts."""
        self.requested = self.requested or reason

    def check(self) -> None:
        """Raises `Stopped` if a stop was requested."""
        if self.requested is not None:
            raise Stopped(self.requested)


def run_interruptible(function: Callable[[], Any], interrupt: Interrupt) -> None:
    """Runs `function` in a thread, and turns a `KeyboardInterrupt` here into a request to stop.

    Python raises `KeyboardInterrupt` in the main thread between any two of its instructions: inside
    a training step it would leave arrays that are donated and not replaced. Here it only ends the
    waiting. The thread goes on to the end of its step, or of its compilation, and saves.

    Args:
        function: Calls `interrupt.check` between steps.
        interrupt: Set by the first `KeyboardInterrupt`; a second one abandons the run.

    Raises:
        Stopped: The run was interrupted and has saved everything.
        KeyboardInterrupt: A second interrupt; the run ends without saving after its step.
    """
    failed: list[BaseException] = []
    begin, done = threading.Event(), threading.Event()

    def run() -> None:
        begin.wait()  # an interrupt of `Thread.start` itself finds nothing begun
        try:
            function()
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="dfjax-train", daemon=True).start()
    try:
        begin.set()
        _wait(done)
    except KeyboardInterrupt:
        interrupt.request("interrupt")
        try:
            _wait(done)
        except KeyboardInterrupt:
            interrupt.abandoned = True
            raise
    if failed:
        raise failed[0]


def _wait(done: threading.Event) -> None:
    """Waits; raises the `KeyboardInterrupt` of a signal that the system gave to another thread.

    Not `Thread.join`: interrupted, it takes a running thread for a finished one (CPython 3.11).
    """
    while not done.wait(0.1):
        os.kill(os.getpid(), 0)  # sends nothing, but lets Python look for signals that came
