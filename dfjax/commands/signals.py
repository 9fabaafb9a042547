"""Handlers of Ctrl-C and SIGTERM, which make the training loop save and stop.

Python handles a signal between two of its instructions, and therefore not during a compilation that
takes minutes. A thread, which the wake-up file descriptor notifies, then ends the process if
everything is saved. A second Ctrl-C ends the process at once.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

from dfjax import processes
from dfjax.errors import INTERRUPTED, PREEMPTED
from dfjax.training.interrupt import Interrupt

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: PREEMPTED}
PATIENCE = 3.0  # seconds that the loop has before the thread acts
MARGIN = 1.0  # seconds by which process 0 of several leaves last, since its end aborts the others


def exit_code(reason: str) -> int:
    """Returns the exit code of a run that `reason`, the name of a signal, stopped."""
    return EXIT_CODES[signal.Signals[reason]]


def leave_imports_on_signals(*, terminated: bool) -> None:
    """Makes SIGINT end the process at once, with 130, while modules are imported.

    Libraries in C++ crash on an exception in the middle of their import, when there is nothing to
    lose yet. At any other time SIGINT raises `KeyboardInterrupt`, as without this function.

    Args:
        terminated: Whether SIGTERM ends the process at any time, with 75.
    """

    def handle(signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and not _is_importing(frame):
            raise KeyboardInterrupt
        _leave(signum)

    for signum in EXIT_CODES if terminated else (signal.SIGINT,):
        signal.signal(signum, handle)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Interrupt]:
    """While entered, SIGINT and SIGTERM request a stop of the run that is given the `Interrupt`.

    Outside the training loop there is nothing to save: the process and its children end at once,
    with 130 or 75. An exception would be lost in imports of libraries that try what is installed.
    """
    interrupt = Interrupt()

    def handle(signum: int, frame: FrameType | None) -> None:
        if not interrupt.training:
            _leave(signum, PATIENCE + MARGIN)  # which others leave by, also while they wait in JAX
        if interrupt.requested is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C: now
        interrupt.request(signal.Signals(signum).name)

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    previous_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reader, interrupt), daemon=True)
    watcher.start()
    previous = {signum: signal.signal(signum, handle) for signum in EXIT_CODES}
    try:
        yield interrupt
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(previous_fd)
        writer.close()
        watcher.join()


def _watch(reader: socket.socket, interrupt: Interrupt) -> None:
    """Ends the process in place of a main thread that does not come round to it."""
    with reader:
        signums = [_receive(reader)]
        deadline = time.monotonic() + PATIENCE
        reader.settimeout(0.2)
        while signums[-1] is not None:
            twice = signums.count(signal.SIGINT) > 1
            if time.monotonic() > deadline and (interrupt.idle or twice):
                _leave(signums[-1], MARGIN)
            with contextlib.suppress(TimeoutError):
                signums.append(_receive(reader))


def _receive(reader: socket.socket) -> int | None:
    """Returns the next signal of interest; None when the context is left."""
    while received := reader.recv(1):
        if received[0] in EXIT_CODES:
            return received[0]
    return None


def _leave(signum: int, margin: float = 0.0) -> None:
    """Ends the process; after SIGTERM, process 0 of several ends `margin` seconds later."""
    if signum == signal.SIGTERM and processes.count() > 1 and processes.is_first():
        time.sleep(margin)
    for child in multiprocessing.active_children():
        child.kill()
    cursor = "\x1b[?25h" if os.isatty(2) else ""  # progress bars hide it
    name = signal.Signals(signum).name
    os.write(2, f"{cursor}dfjax: stopped by {name}\n".encode())  # print() may be interrupted
    os._exit(EXIT_CODES[signal.Signals(signum)])
