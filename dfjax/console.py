"""Progress and messages on standard error, in a terminal, a notebook or a log.

Of several processes of a run only the first one prints them.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dfjax import processes

Item = TypeVar("Item")
LONGEST_LINE = 1500  # characters
SECONDS_BETWEEN = 0.5  # between updates of a line in a notebook
SECONDS_BETWEEN_LINES = 30.0  # of progress in a log


def make_console() -> Console:
    """Returns a console on standard error that writes plain text in a notebook, without codes."""
    terminal = False if in_notebook() else None  # None: it is a terminal if standard error is one
    return Console(
        stderr=True, force_terminal=terminal, force_jupyter=False, highlight=False, soft_wrap=True,
        quiet=not processes.is_first(),
    )  # fmt: skip


def make_result_console() -> Console:
    """Returns a console on standard output, as wide in a log as the tables of results need."""
    console = Console(quiet=not processes.is_first())
    if not console.is_terminal:
        console.width = 120  # a log is not cut off where a terminal would be
    return console


def in_notebook() -> bool:
    """Returns whether this process is the kernel of a notebook."""
    return "ipykernel.kernelapp" in sys.modules  # also of Colab; clients import other parts


def one_line(text: str) -> str:
    """Returns text as one line that a terminal shows as it is.

    Names of files may hold line breaks and control sequences, which would forge other lines or
    colours. These characters are written as escapes, such as `\\n` and `\\x1b`, and so are those
    that are invisible or reverse the direction of text. Bytes that are not text become `?`. A line
    that is too long to be read is cut, since a message may quote all of a damaged file.
    """
    text = text.encode("utf-8", "replace").decode()
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}… ({len(line)} characters)"


def say(text: str) -> None:
    """Prints one line on standard error, without markup, colours or wrapping."""
    make_console().print(one_line(text), markup=False)


class StatusLine:
    """Progress where there is no terminal: a notebook's line that is overwritten, or log lines.

    A terminal gets nothing, since it has a progress bar, nor do other processes than the first.
    """

    def __init__(self) -> None:
        self._notebook = in_notebook()
        self._interval = SECONDS_BETWEEN if self._notebook else SECONDS_BETWEEN_LINES
        in_terminal = not self._notebook and sys.stderr.isatty()
        self._silent = in_terminal or not processes.is_first()
        self._written = 0.0 if self._notebook else time.monotonic()
        self._open = False

    def write(self, text: str) -> None:
        """Writes the line, unless the previous one was written shortly before."""
        if self._silent or time.monotonic() - self._written < self._interval:
            return
        self._written, self._open = time.monotonic(), self._notebook
        sys.stderr.write(f"\r{text[:110]:<110}" if self._notebook else f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Removes the line of a notebook, before something else is printed."""
        if self._open:
            self._written, self._open = 0.0, False
            sys.stderr.write(f"\r{'':<110}\r")
            sys.stderr.flush()


def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
    """Yields the items and shows a progress bar in a terminal or notebook.

    Args:
        items: Items to count.
        total: Number of items, or None if it is unknown.
        what: Text beside the bar.
    """
    console, line = make_console(), StatusLine()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for number, item in enumerate(progress.track(items, total=total), 1):
            yield item
            line.write(f"{what} {number}" + (f"/{total}" if total else ""))
    line.clear()


@contextmanager
def show_elapsed(what: str) -> Iterator[Callable[[str, float], None]]:
    """Yields `report(phase, seconds)`, which shows how long a task has taken so far.

    Args:
        what: Name of the task.
    """
    console, line = make_console(), StatusLine()
    status = console.status(what) if console.is_terminal else None
    if status:
        status.start()

    def report(phase: str, seconds: float) -> None:
        text = one_line(f"{what}: {phase}, {seconds:.0f} s")
        if status:
            status.update(text)
        line.write(text)

    try:
        yield report
    finally:
        if status:
            status.stop()
        line.clear()
