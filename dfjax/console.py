"""Progress and notes for people, on standard error."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
    """Yields the items while a bar counts them; silent where standard error is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total)


def say(text: str) -> None:
    """Prints one line on standard error, as it is: no markup, no colours, no wrapping."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)
