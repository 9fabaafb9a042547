"""Progress without a terminal: log lines at intervals, and a notebook's line without codes."""

import sys
import types

import pytest

from dfjax import console


@pytest.fixture
def notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", types.ModuleType("kernelapp"))


def write(monkeypatch, times):
    """Writes lines at these times, in seconds after the start."""
    now = [1000.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    line = console.StatusLine()
    for t in times:
        now[0] = 1000.0 + t
        line.write(f"step {t}")
    line.clear()


def test_a_log_gets_a_line_after_every_interval(monkeypatch, capsys):
    write(monkeypatch, [1, 31])
    assert capsys.readouterr().err == "step 31\n"


def test_a_terminal_gets_none(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    write(monkeypatch, [1, 31])
    assert capsys.readouterr().err == ""


def test_a_notebook_has_one_line_that_is_overwritten(monkeypatch, capsys, notebook):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # as newer kernels say
    line = console.StatusLine()
    line.write("step 1")
    line.write("step 2")  # shortly after
    line.clear()
    shown = [part.strip() for part in capsys.readouterr().err.split("\r")]
    assert shown == ["", "step 1", "", ""]
    assert list(console.track([1, 2], total=2, what="files")) == [1, 2]
    assert "\x1b" not in capsys.readouterr().err


def test_the_time_of_a_task_is_shown_and_ends_with_it(monkeypatch, capsys):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with console.show_elapsed("plan of a\nb") as report:
        report("compiling", 61.2)
    assert capsys.readouterr().err == "plan of a\\nb: compiling, 61 s\n"
