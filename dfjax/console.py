"""Progress and messages on standard error, in a terminal, a notebook or a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
LONGEST_LINE = 1500  # characters
SECONDS_BETWEEN = 0.5  # between updates of a line in a notebook


def make_console() -> Console:
    """Returns a console on standard error that also writes plain text in a notebook."""
    return Console(stderr=True, force_jupyter=False, highlight=False, soft_wrap=True)


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


class NotebookLine:
    """A line of progress that is overwritten in a notebook; elsewhere nothing is written."""

    def __init__(self) -> None:
        self.active = "ipykernel" in sys.modules or "google.colab" in sys.modules
        self._written = 0.0

    def write(self, text: str) -> None:
        """Replaces the line, at most twice a second."""
        if self.active and time.monotonic() - self._written > SECONDS_BETWEEN:
            self._written = time.monotonic()
            sys.stderr.write(f"\r{text[:110]:<110}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Removes the line, before something else is printed."""
        if self.active and self._written:
            self._written = 0.0
            sys.stderr.write(f"\r{'':<110}\r")
            sys.stderr.flush()


def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
    """Yields the items and shows a progress bar in a terminal or notebook.

    Args:
        items: Items to count.
        total: Number of items, or None if it is unknown.
        what: Text beside the bar.
    """
    console, line = make_console(), NotebookLine()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for number, item in enumerate(progress.track(items, total=total), 1):
            yield item
            line.write(f"{what} {number}" + (f"/{total}" if total else ""))
    line.clear()
