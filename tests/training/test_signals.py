"""What signals do where the loop does not come round to them."""

import os
import signal
import subprocess
import sys

import pytest

from dfjax.training.signals import SignalGuard, Stopped, stop_on_sigterm

BUSY = """
import sys, time
from dfjax.training import signals
signals.PATIENCE = 0.3
try:
    with signals.SignalGuard() as guard:
        guard.idle = sys.argv[1] == "idle"
        print("ready", flush=True)
        time.sleep(float(sys.argv[2]))
        guard.check()
except signals.Stopped as stopped:
    print("saved", flush=True)
    sys.exit(stopped.code)
"""


def run(signum, *arguments):
    """Exit code and output of a process that is signalled while it is busy."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_an_idle_run_leaves_in_the_middle_of_a_compilation(signum, code):
    found, out, err = run(signum, "idle", "300")
    assert (found, out) == (code, "") and signum.name in err and err.count("\n") == 1


def test_what_is_not_saved_is_waited_for():
    assert run(signal.SIGTERM, "unsaved", "1.5") == (75, "saved\n", "")


def test_before_the_loop_sigterm_stops_at_once_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stopped, stop_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.code == 75 and signal.getsignal(signal.SIGTERM) is before


def test_a_guard_puts_everything_back():
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(2):
        with SignalGuard() as guard:
            guard.check()
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert signal.set_wakeup_fd(-1) == -1
