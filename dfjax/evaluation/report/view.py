"""The result of an evaluation as an object for scripts and notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import RenderableType

from dfjax.console import one_line
from dfjax.errors import UsageError
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.report.html import draw_report
from dfjax.evaluation.report.rows import (
    describe_intervals,
    describe_videos,
    list_cells,
    list_rows,
)
from dfjax.evaluation.report.sections import split_videos
from dfjax.evaluation.report.table import list_parts
from dfjax.evaluation.tables.score_formats import write_as
from dfjax.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Report(Result):
    """The result of an evaluation; a notebook shows it as a table with the ROC curve and flags.

    Attributes:
        metrics: Content of `metrics.json`.
        predictions: Table of predictions that the metrics were computed from, or None.
        out: Folder that the results were written to, or None.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame | None = None
    out: Path | None = None

    @property
    def flags(self) -> list[Flag]:
        """Problems that were found in the evaluation, errors first."""
        flags: list[Flag] = self.metrics["flags"]
        return flags

    @property
    def has_findings(self) -> bool:
        """Whether a flag is an error."""
        return any(flag["severity"] == "error" for flag in self.flags)

    def describe(self) -> list[RenderableType]:
        """Returns the table of metrics and, as lines, their intervals and the flags."""
        written = [f"written to {self.out}"] if self.out else []
        return [*list_parts(self.metrics), *written]

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `metrics.json`."""
        return self.metrics

    def write_scores(self, format_name: str) -> list[Path]:
        """Writes the predictions in a format of another program (`FORMATS`) to the same folder.

        Raises:
            UsageError: The file exists and dfjax did not write it.
        """
        assert self.out is not None and self.predictions is not None
        return write_as(self.predictions, format_name, self.out)

    @property
    def table(self) -> pd.DataFrame:
        """Table with the rows of `rows.list_rows` and all metrics of `metrics.json`.

        A cell with an interval holds a list of its two bounds.
        """
        rows = dict(list_rows(self.metrics))
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        """Returns the metrics and flags as a table of plain text."""
        rows = [[one_line(name), *cells] for name, *cells in list_cells(self.metrics)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [f"Report: {describe_videos(self.metrics)}"]
        for name, *cells in rows:
            numbers = [cell.rjust(width) for cell, width in zip(cells, widths[1:])]
            lines.append("  ".join([name.ljust(widths[0]), *numbers]).rstrip())
        lines.append(describe_intervals(self.metrics))
        lines += [f"{flag['severity']} {flag['code']}: {flag['message']}" for flag in self.flags]
        lines += [f"written to {self.out}"] if self.out else []
        return "\n".join(map(one_line, lines))

    def plot(self) -> Figure:
        """Returns a figure of the ROC curve and the scores of videos.

        Raises:
            UsageError: The report has no predictions.
        """
        from dfjax.evaluation.figures.plots import plot_roc  # matplotlib takes a second
        from dfjax.evaluation.figures.style import enable_notebook_display

        if self.predictions is None:
            raise UsageError("this report has no predictions to plot")
        enable_notebook_display()
        videos, unseen = split_videos(self.metrics, self.predictions)
        return plot_roc(videos, self.metrics["overall"], unseen=unseen)

    def _repr_html_(self) -> str:
        return draw_report(self.metrics, self.predictions, self.out)
