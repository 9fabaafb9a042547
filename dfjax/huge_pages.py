"""Large pages for large arrays on a Linux CPU, requested at the start and kept.

XLA allocates its temporary memory, gigabytes of it, anew in every step, and glibc returns blocks of
that size to the kernel as soon as they are free. With pages of 4 KB, mapping them again takes a
third of the time of a training step; with pages of 2 MB it takes less. In a virtual machine whose
host reclaims free pages, memory that was free for two seconds costs more than the step itself
(measured: 1 to 2 s per GB). So glibc is told to request large pages and to keep what it has. It
reads these tunables only when a process starts, hence the restart.

glibc keeps the memory of its main heap, which serves the main thread; hence steps that run on the
thread that calls them. A single heap for all threads would do too, but the threads would wait for
each other: the small allocations inside XLA's matrix products then double the time of a step.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLES = "GLIBC_TUNABLES"
HUGE = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000"
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
FIRST_GLIBC = (2, 35)


def restart_with_huge_pages() -> None:
    """Restarts this process with huge pages, under the same process id and arguments.

    Does nothing where it has been restarted, where huge pages are given anyway or cannot be
    requested, and where the user has set other tunables.
    """
    if TUNABLES not in os.environ and must_request(SETTING, platform.libc_ver()):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | {TUNABLES: HUGE})


def keep_memory() -> None:
    """Makes XLA allocate memory on the thread that calls it, where freed memory is kept.

    Call it before the first use of a device. Does nothing in a process without our tunables.
    """
    if os.environ.get(TUNABLES) == HUGE:
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def must_request(setting: Path, libc: tuple[str, str]) -> bool:
    """Returns whether the kernel gives huge pages on request only and this libc can request them.

    Args:
        setting: The kernel's file of the setting.
        libc: Name and version of the C library.
    """
    if libc[0] != "glibc" or not setting.is_file():
        return False
    version = tuple(map(int, libc[1].split(".")[:2]))
    return version >= FIRST_GLIBC and "[madvise]" in setting.read_text()


def plain_environment() -> Mapping[str, str]:
    """Returns the environment as it was before `restart_with_huge_pages`."""
    return {k: v for k, v in os.environ.items() if (k, v) != (TUNABLES, HUGE)}
