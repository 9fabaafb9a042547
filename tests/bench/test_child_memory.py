"""The memory of child processes, without that of this process."""

import subprocess
import sys
import time

import numpy as np

from dfjax.bench.child_memory import ChildMemory

PROGRAM = "import sys; x = bytearray({size}); print('made', flush=True); sys.stdin.read()"


def test_the_peak_is_that_of_the_largest_child_and_not_our_own():
    ours = np.ones(400_000_000, np.uint8)  # a process that is forked from us counts them too
    with ChildMemory() as memory:
        for size in (120_000_000, 1_000):
            command = [sys.executable, "-c", PROGRAM.format(size=size)]
            with subprocess.Popen(command, stdin=-1, stdout=-1) as child:
                assert child.stdout.readline() == b"made\n"
                deadline = time.monotonic() + 60
                while (memory.peak_bytes or 0) < 120_000_000:  # at once for the second, small one
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                child.stdin.close()
    assert ours.all() and 120_000_000 < memory.peak_bytes < 250_000_000
