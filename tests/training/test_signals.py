"""What signals do where the loop does not come round to them."""

import signal
import subprocess
import sys

import pytest

from dfjax.training.signals import SignalGuard, stop_on_sigterm

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


def run(signum, *arguments, code=BUSY):
    """Exit code and output of a process that is signalled while it is busy."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
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


def test_before_the_loop_sigterm_ends_what_swallows_exceptions_and_its_children():
    code = """
import multiprocessing, time
from dfjax.training.signals import stop_on_sigterm
with stop_on_sigterm():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    child.start()
    print("ready", flush=True)
    try:
        time.sleep(300)
    except BaseException:
        time.sleep(300)
"""
    assert run(signal.SIGTERM, code=code) == (75, "", "dfjax: stopped by SIGTERM\n")


def test_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_guard_puts_everything_back():
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(2):
        with SignalGuard() as guard:
            guard.check()
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert signal.set_wakeup_fd(-1) == -1
