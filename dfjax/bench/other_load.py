"""The processor time that other programs took while something was measured."""

import os
import resource
import time
from pathlib import Path

STAT = Path("/proc/stat")
IDLE = (3, 4)  # columns of `idle` and `iowait`
COUNTED = 8  # columns up to `steal`; those of guests are counted twice


class OtherLoad:
    """Meter of the cores that other programs use, from its creation on.

    Processes that this one has started and waited for belong to the measurement. The time that the
    host of a virtual machine takes away (`steal`) belongs to other programs.
    """

    def __init__(self) -> None:
        self._start = _read()

    def cores(self) -> float | None:
        """Returns the mean number of cores that others used, or None without `/proc/stat`."""
        now = _read()
        if self._start is None or now is None:
            return None
        busy, own, wall = (new - old for new, old in zip(now, self._start))
        return max(0.0, busy - own) / wall


def _read() -> tuple[float, float, float] | None:
    """Returns seconds: busy time of all cores, time of this process and its children, the clock."""
    if not STAT.is_file():
        return None
    ticks = [int(text) for text in STAT.read_text().splitlines()[0].split()[1 : COUNTED + 1]]
    busy = sum(count for column, count in enumerate(ticks) if column not in IDLE)
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    own = sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))
    return busy / os.sysconf("SC_CLK_TCK"), own, time.monotonic()
