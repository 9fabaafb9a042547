"""Tests signals while the training loop cannot handle them."""

import signal
import subprocess
import sys

import pytest

from dfjax.commands.signals import stop_on_signals

BUSY = """
import sys, time
from dfjax.commands import signals
from dfjax.training.interrupt import Stopped
signals.PATIENCE = 0.3
try:
    with signals.stop_on_signals() as interrupt:
        interrupt.training, interrupt.idle = True, sys.argv[1] == "idle"
        print("ready", flush=True)
        time.sleep(float(sys.argv[2]))
        interrupt.check()
except Stopped as stopped:
    print("saved", flush=True)
    sys.exit(signals.exit_code(stopped.reason))
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


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_before_the_loop_a_signal_ends_what_swallows_exceptions_and_its_children(signum, code):
    program = """
import multiprocessing, time
from dfjax.commands.signals import stop_on_signals
with stop_on_signals():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    child.start()
    print("ready", flush=True)
    try:
        time.sleep(300)
    except BaseException:
        time.sleep(300)
"""
    assert run(signum, code=program) == (code, "", f"dfjax: stopped by {signum.name}\n")


def test_a_second_ctrl_c_raises_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as interrupt:
        interrupt.training = True
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested == "SIGINT"
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_everything_is_put_back():
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(2):
        with stop_on_signals() as interrupt:
            interrupt.check()
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert signal.set_wakeup_fd(-1) == -1
