"""Settings of glibc for large arrays on a Linux CPU: huge pages, and no return of freed memory.

XLA allocates gigabytes of temporary memory in every step, and glibc returns blocks of that size to
the kernel as soon as they are freed. With pages of 4 KB, mapping them again takes a third of the
time of a training step; with pages of 2 MB it takes less. In a virtual machine whose host reclaims
free pages, mapping memory that was free for two seconds takes longer than the step itself
(measured: 1 to 2 s per GB). Tunables of glibc therefore request huge pages and keep freed memory.
glibc reads tunables only when a process starts, so the process has to be restarted.

With these tunables, glibc keeps the memory of its main heap only, which serves the main thread, so
steps have to run in the thread that calls them. One heap for all threads would be an alternative,
but contention over the small allocations in XLA's matrix products then doubles the time of a step.
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
    """Restarts this process with huge pages, with the same process id and arguments.

    The call has no effect if the process was already restarted, if huge pages are the default or
    cannot be requested, or if the user has set other tunables.
    """
    if TUNABLES not in os.environ and must_request(SETTING, platform.libc_ver()):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | {TUNABLES: HUGE})


def keep_memory() -> None:
    """Makes XLA allocate memory in the calling thread, where freed memory is kept.

    It has to be called before the first use of a device. It has no effect in a process without the
    tunables of `restart_with_huge_pages`.
    """
    if os.environ.get(TUNABLES) == HUGE:
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def must_request(setting: Path, libc: tuple[str, str]) -> bool:
    """Returns whether huge pages have to be requested and the C library can request them.

    Args:
        setting: File with the setting of the kernel.
        libc: Name and version of the C library.
    """
    if libc[0] != "glibc" or not setting.is_file():
        return False
    version = tuple(map(int, libc[1].split(".")[:2]))
    return version >= FIRST_GLIBC and "[madvise]" in setting.read_text()


def plain_environment() -> Mapping[str, str]:
    """Returns the environment variables without those that `restart_with_huge_pages` sets."""
    return {k: v for k, v in os.environ.items() if (k, v) != (TUNABLES, HUGE)}
