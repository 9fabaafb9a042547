"""Large pages for large arrays on a Linux CPU, asked for once and kept.

XLA takes its temporary memory, gigabytes of it, anew for every step, and glibc gives memory of that
size back to the kernel as soon as it is free. In pages of 4 KB the kernel spends a third of the
time of a training step on handing it over; in pages of 2 MB less; and in a virtual machine whose
host collects free pages, what was free for two seconds costs more than the step itself (measured:
1 to 2 s a GB). So glibc is told to ask for large pages and to keep what it has. It reads these
tunables when a process starts and never again: hence the second start.

It keeps what comes from its main heap, which is the main thread's; hence steps that run on the
thread that calls them. One heap for all threads would do as well, but they would wait for each
other: small allocations inside XLA's products then double the time of a step.
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
    """Starts this process again, same id and arguments, with huge pages; once, and where it helps.

    Does nothing where the user has set tunables of their own.
    """
    if TUNABLES not in os.environ and asks(SETTING, platform.libc_ver()):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | {TUNABLES: HUGE})


def keep_memory() -> None:
    """Has XLA take its memory on the thread that calls it, where freed memory is kept.

    To be called before the first use of a device. Does nothing in a process without our tunables.
    """
    if os.environ.get(TUNABLES) == HUGE:
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def asks(setting: Path, libc: tuple[str, str]) -> bool:
    """Tells whether the kernel gives huge pages on request only, and this libc can request them."""
    if libc[0] != "glibc" or not setting.is_file():
        return False
    version = tuple(map(int, libc[1].split(".")[:2]))
    return version >= FIRST_GLIBC and "[madvise]" in setting.read_text()


def plain_environment() -> Mapping[str, str]:
    """Returns the environment as it was before `restart_with_huge_pages`."""
    return {k: v for k, v in os.environ.items() if (k, v) != (TUNABLES, HUGE)}
