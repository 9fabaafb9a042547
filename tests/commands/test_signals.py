"""Tests signals while the training loop cannot handle them."""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from dfjax import processes
from dfjax.child_processes import interrupt_on_termination
from dfjax.commands import signals
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
        while not interrupt.requested:
            time.sleep(0.01)
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
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_an_idle_run_leaves_in_the_middle_of_a_compilation(signum, code):
    found, out, err = run(signum, "idle", "300")
    assert (found, out) == (code, "") and signum.name in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("count", "first", "signum", "waits"),
    [
        (2, True, signal.SIGTERM, [4.0]),
        (2, False, signal.SIGTERM, []),
        (2, True, signal.SIGINT, []),
        (1, True, signal.SIGTERM, []),
    ],
)
def test_process_0_of_several_leaves_last(monkeypatch, count, first, signum, waits):
    """Its end would abort the others before they leave with 75, and a scheduler would not resume.

    They leave within `PATIENCE`, also while they wait for process 0 and no handler can run.
    """
    slept, codes = [], []
    monkeypatch.setattr(processes, "count", lambda: count)
    monkeypatch.setattr(processes, "is_first", lambda: first)
    with monkeypatch.context() as patched:
        patched.setattr(signals, "time", types.SimpleNamespace(sleep=slept.append))
        patched.setattr(signals.os, "_exit", codes.append)
        signals._leave(signum, signals.PATIENCE + signals.MARGIN)
    assert slept == waits and codes == [signals.EXIT_CODES[signum]]


def test_what_is_not_saved_is_waited_for():
    assert run(signal.SIGTERM, "unsaved", "1.0") == (75, "saved\n", "")


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


IMPORTING = """
import sys
from pathlib import Path
from dfjax.commands.signals import leave_imports_on_signals
leave_imports_on_signals(terminated=sys.argv[2] == "terminated")
sys.path.insert(0, sys.argv[1])
try:
    import slow_library
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    ("signum", "mode", "code"),
    [
        (signal.SIGINT, "", 130),
        (signal.SIGINT, "terminated", 130),
        (signal.SIGTERM, "terminated", 75),
        (signal.SIGTERM, "", -15),
    ],
)
def test_a_signal_during_an_import_ends_the_process_without_an_exception(
    tmp_path, signum, mode, code
):
    library = "import time\nprint('ready', flush=True)\ntry:\n time.sleep(300)\nfinally:\n print(3)"
    (tmp_path / "slow_library.py").write_text(library)
    found, out, err = run(signum, str(tmp_path), mode, code=IMPORTING)
    said = f"dfjax: stopped by {signum.name}\n" if code > 0 else ""
    assert (found, out, err) == (code, "", said)


def test_outside_of_imports_ctrl_c_is_an_exception():
    program = """
import time
from dfjax.commands.signals import leave_imports_on_signals
leave_imports_on_signals(terminated=False)
try:
    print("ready", flush=True)
    time.sleep(300)
except KeyboardInterrupt:
    print("cleaned up")
"""
    assert run(signal.SIGINT, code=program) == (0, "cleaned up\n", "")


def catches(pid, signum):
    """Whether a process has a handler for a signal; Linux only."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (signum - 1) & 1)


@pytest.mark.slow
def test_signals_at_random_moments_of_a_start_end_in_one_line(tmp_path):
    signal_at_random_moments(tmp_path, os.environ.get("DFJAX_SEED", "1"))


@pytest.mark.fresh
def test_signals_at_moments_that_nobody_has_tried_end_in_one_line(tmp_path):
    signal_at_random_moments(tmp_path, secrets.token_hex(4))


def signal_at_random_moments(tmp_path, seed):
    """Signals starting runs; a failure names the seed, which `DFJAX_SEED` repeats."""
    rng, longest, results = random.Random(seed), 12.0, []
    for number in range(5):
        signum = rng.choice([signal.SIGINT, signal.SIGTERM])
        command = [sys.executable, "-m", "dfjax", "train", "--config=hybrid:smoke"]
        command.append("--config.train.epochs=50")
        process = subprocess.Popen(
            [*command, f"--workdir={tmp_path / str(number)}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        )
        while not catches(process.pid, signal.SIGTERM):  # the interpreter itself is starting
            assert process.poll() is None
            time.sleep(0.01)
        moment = rng.uniform(0, longest)
        time.sleep(moment)
        finished = process.poll() is not None
        process.send_signal(signum)
        _, err = process.communicate(timeout=600)
        expected = 0 if finished else {signal.SIGINT: 130, signal.SIGTERM: 75}[signum]
        clean = "Traceback" not in err and "Fatal" not in err
        if process.returncode != expected or not clean:
            results.append((signum.name, round(moment, 2), process.returncode, err[-2000:]))
    assert not results, f"DFJAX_SEED={seed}"


def test_a_second_ctrl_c_raises_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as interrupt:
        interrupt.training = True
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested == "SIGINT"
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def hang_up():
    """SIGHUP as it is in a terminal; nohup, by which tests may have been started, ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_interrupts_once(signum, hang_up):
    assert signal.getsignal(signum) == signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt), interrupt_on_termination():
        try:
            signal.raise_signal(signum)
        finally:
            signal.raise_signal(signal.SIGHUP)  # while something is saved
    assert signal.getsignal(signum) == signal.SIG_DFL


def test_a_termination_that_is_ignored_or_not_wanted_stays_so():
    with interrupt_on_termination(wanted=False):
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt_on_termination():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_everything_is_put_back():
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(2):
        with stop_on_signals() as interrupt:
            interrupt.check()
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert signal.set_wakeup_fd(-1) == -1
