"""The training history as a table and as curves, with a warning of suspiciously early success."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from dfjax.evaluation.figures.plots import plot_curves
from dfjax.evaluation.flags.leaks import find_early_perfect
from dfjax.training.metric_writer import read_history

WIDE = 140  # characters
SHOWN = 30  # epochs; for longer runs the last ones and the best one

COLUMNS = {
    "epoch": ("epoch", "{:.0f}"),
    "train_loss": ("loss", "{:.4f}"),
    "train_accuracy": ("accuracy", "{:.3f}"),
    "val_loss": ("val loss", "{:.4f}"),
    "val_accuracy": ("val accuracy", "{:.3f}"),
    "val_video_auc": ("val AUC", "{:.3f}"),
    "learning_rate": ("learning rate", "{:.2e}"),
    "seconds": ("seconds", "{:.1f}"),
}
"""Columns of `history.csv`, with their headings and number formats."""


def print_history(workdir: Path, metric: str, console: Console) -> None:
    """Prints one row per epoch of a run and marks the best epoch.

    Args:
        workdir: Workdir of the run.
        metric: Monitored metric, which has a column of its own.
        console: Console to print on.
    """
    rows = read_history(workdir / "history.csv")
    if rows:
        if not console.is_terminal:
            console.width = WIDE  # otherwise rows would be truncated to 80 characters
        console.print(make_history_table(rows, metric))


def make_history_table(rows: Sequence[Mapping[str, str]], metric: str) -> Table:
    """Returns the training history as a table: losses, accuracies, learning rate, seconds.

    Args:
        rows: Rows of `history.csv`. Their `seconds` count from the start of the run; the table has
            the seconds of each epoch.
        metric: Monitored metric.
    """
    best = max((n for n, row in enumerate(rows) if row.get("best") == "1"), default=-1)
    columns = dict(COLUMNS)
    if (monitored := f"val_{metric}") not in columns:
        columns[monitored] = (f"val {metric}", "{:.4f}")
    table = Table(box=None, pad_edge=False)
    for heading, _ in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    first = max(0, len(rows) - SHOWN)
    for number, row in enumerate(rows):
        if number < first and number != best:
            continue
        before = _read_seconds(rows[number - 1]) if number else 0.0
        row = {**row, "seconds": str(_read_seconds(row) - before)}
        cells = [_write(row.get(name, ""), form) for name, (_, form) in columns.items()]
        is_best = number == best
        table.add_row(*cells, "best" if is_best else "", style="bold" if is_best else None)
    return table


def show_epoch(workdir: Path, say: Callable[[str], None]) -> None:
    """Draws the curves of a run, and prints a warning once if the first epochs are suspicious.

    Args:
        workdir: Workdir of the run.
        say: Function that prints one line.
    """
    path = workdir / "history.csv"
    plot_curves(path, workdir / "curves.png")
    history = pd.read_csv(path)
    message = find_early_perfect(history)
    if message and not find_early_perfect(history.iloc[:-1]) and len(history) <= 2:
        say(f"warning: {message}")


def _read_seconds(row: Mapping[str, str]) -> float:
    return float(row.get("seconds") or 0)  # a history of another version may lack them


def _write(text: str, form: str) -> str:
    return form.format(float(text)) if text else "–"
