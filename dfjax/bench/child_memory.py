"""The largest memory of the processes that this one starts.

`getrusage` cannot tell it: there, a process counts the memory of the one that started it too.
"""

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROC = Path("/proc")
INTERVAL = 0.02  # seconds between two looks


class ChildMemory:
    """Context manager that reads the peak memory of the child processes while it is open.

    Attributes:
        peak_bytes: Largest resident memory of any of them; None without `/proc`.
    """

    peak_bytes: int | None = None

    def __enter__(self) -> "ChildMemory":
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            self.peak_bytes = max((self.peak_bytes or 0, *read_peaks()), default=0) or None


def read_peaks() -> Iterator[int]:
    """Yields the largest resident memory so far, in bytes, of every child process."""
    for children in PROC.glob("self/task/*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            for child in children.read_text().split():
                yield from _read_peak(PROC / child)


def _read_peak(process: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):  # the process has ended
        found = re.search(r"^VmHWM:\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
        own = (PROC / "self/cmdline").read_bytes()
        if found and (process / "cmdline").read_bytes() != own:  # until `exec` it has our memory
            yield 1024 * int(found[1])
