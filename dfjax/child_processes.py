"""Makes a child process end with its parent, however that ends."""

import ctypes
import os
import select
import signal
import sys
import threading

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


def _watch(parent: int, pipe: int | None) -> None:
    ends = select.poll()
    if pipe is not None:
        ends.register(pipe, 0)  # its end is always reported
    while not ends.poll(POLL_MS) and os.getppid() == parent:
        pass
    os._exit(1)
