"""Ctrl-C and SIGTERM ask the loop to save and leave; a second Ctrl-C leaves at once.

Python handles a signal between two of its own instructions, so not during minutes of compilation.
There a thread, told by the system's own handler, leaves instead once nothing can be lost by it.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import NoReturn

from dfjax.errors import INTERRUPTED, PREEMPTED

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: PREEMPTED}
PATIENCE = 3.0  # seconds that the loop has before the thread acts


class Stopped(Exception):
    """The run was asked to stop and has been saved; `code` is the exit code of the process."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.code = EXIT_CODES[signal.Signals(signum)]


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """While entered, SIGTERM ends the process with 75 wherever it is: nothing is trained yet.

    An exception would be lost in the imports of libraries that try what is installed.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        for child in multiprocessing.active_children():
            child.kill()
        _leave(signum)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class SignalGuard:
    """While entered, turns SIGINT and SIGTERM into a request that `check` raises as `Stopped`.

    Attributes:
        idle: everything so far is saved, so that the process may end anywhere.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self.idle = False
        self._previous: dict[int, signal._HANDLER] = {}
        self._left = threading.Event()

    def __enter__(self) -> "SignalGuard":
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()
        for signum in EXIT_CODES:
            self._previous[signum] = signal.signal(signum, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._left.set()
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._writer.close()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self.requested is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C: now
        self.requested = signum

    def check(self) -> None:
        """Raises `Stopped` if a signal came."""
        if self.requested is not None:
            self._left.set()
            raise Stopped(self.requested)

    def _watch(self) -> None:
        """Leaves in place of a loop that does not come round to it."""
        with self._reader:
            signums = [self._receive()]
            deadline = time.monotonic() + PATIENCE
            self._reader.settimeout(0.2)
            while signums[-1] is not None and not self._left.is_set():
                twice = signums.count(signal.SIGINT) > 1
                if time.monotonic() > deadline and (self.idle or twice):
                    _leave(signums[-1])
                with contextlib.suppress(TimeoutError):
                    signums.append(self._receive())

    def _receive(self) -> int | None:
        """The next signal of ours; None when the guard is left."""
        while received := self._reader.recv(1):
            if received[0] in EXIT_CODES:
                return received[0]
        return None


def _leave(signum: int) -> NoReturn:
    stopped = Stopped(signum)
    cursor = "\x1b[?25h" if os.isatty(2) else ""  # progress bars hide it
    os.write(2, f"{cursor}dfjax: {stopped}\n".encode())  # print() may be what is interrupted
    os._exit(stopped.code)
