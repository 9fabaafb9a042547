"""Large pages for large arrays on a Linux CPU, where they are to be asked for.

XLA takes its temporary memory, gigabytes of it, anew for every step. In pages of 4 KB the kernel
spends a third of the time of a training step on handing them over; in pages of 2 MB hardly any.
glibc asks for those when a tunable says so, which it reads when a process starts and never again:
hence the second start.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLES = "GLIBC_TUNABLES"
HUGE = "glibc.malloc.hugetlb=1"
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
FIRST_GLIBC = (2, 35)


def restart_with_huge_pages() -> None:
    """Starts this process again, same id and arguments, with huge pages; once, and where it helps.

    Does nothing where the user has set tunables of their own.
    """
    if TUNABLES not in os.environ and asks(SETTING, platform.libc_ver()):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | {TUNABLES: HUGE})


def asks(setting: Path, libc: tuple[str, str]) -> bool:
    """Tells whether the kernel gives huge pages on request only, and this libc can request them."""
    if libc[0] != "glibc" or not setting.is_file():
        return False
    version = tuple(map(int, libc[1].split(".")[:2]))
    return version >= FIRST_GLIBC and "[madvise]" in setting.read_text()


def plain_environment() -> Mapping[str, str]:
    """Returns the environment as it was before `restart_with_huge_pages`."""
    return {k: v for k, v in os.environ.items() if (k, v) != (TUNABLES, HUGE)}
