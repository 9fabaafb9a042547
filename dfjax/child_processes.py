"""The end of processes: of a child with its parent, and of a parent that is terminated."""

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

POLL_MS = 1000
PR_SET_PDEATHSIG = 1  # of `prctl`, Linux


def end_with_parent(parent: int, *, pipe: int | None = None, by_kernel: bool = False) -> None:
    """Makes this process end with its parent, also in the middle of a task.

    A thread waits for the parent. On Linux the kernel may kill the process, too, in case a decoder
    never lets that thread run.

    Args:
        parent: Id of the parent process, as that process knows it: it may have ended already.
        pipe: File descriptor of this end of a pipe, whose other end closes with the parent; None to
            look only at the id of the parent.
        by_kernel: Whether the kernel is asked to kill this process when the thread of the parent
            that started it ends.
    """
    threading.Thread(target=_watch, args=(parent, pipe), daemon=True).start()
    if by_kernel and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


@contextlib.contextmanager
def interrupt_on_termination(wanted: bool = True) -> Iterator[None]:
    """While entered, the first SIGTERM or SIGHUP does what SIGINT does, if it is `wanted`."""
    both = (signal.SIGTERM, signal.SIGHUP) if wanted else ()
    numbers = [n for n in both if signal.getsignal(n) == signal.SIG_DFL]  # nohup ignores SIGHUP

    def handle(signum: int, frame: FrameType | None) -> None:
        for number in numbers:  # what was done is being saved then
            signal.signal(number, signal.SIG_IGN)
        signal.raise_signal(signal.SIGINT)

    try:
        for number in numbers:
            signal.signal(number, handle)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _watch(parent: int, pipe: int | None) -> None:
    ends = select.poll()
    if pipe is not None:
        ends.register(pipe, 0)  # its end is always reported
    while not ends.poll(POLL_MS) and os.getppid() == parent:
        pass
    os._exit(1)
