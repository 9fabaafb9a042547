"""The result of an evaluation as an object for scripts and notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.console import one_line
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.report.html import draw_report
from dfjax.evaluation.report.rows import (
    COLUMNS,
    INTERVAL,
    describe_intervals,
    describe_videos,
    format_row,
    list_rows,
)


@dataclass(frozen=True, repr=False)
class Report:
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
    def table(self) -> pd.DataFrame:
        """Table with the rows of `rows.list_rows` and all metrics of `metrics.json`.

        A cell with an interval holds a list of its two bounds.
        """
        rows = dict(list_rows(self.metrics))
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        """Returns the metrics and flags as a table of plain text."""
        rows = [["", *COLUMNS.values(), INTERVAL]]
        rows += [[one_line(name), *format_row(m)] for name, m in list_rows(self.metrics)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [f"Report: {describe_videos(self.metrics)}"]
        for name, *cells in rows:
            numbers = [cell.rjust(width) for cell, width in zip(cells, widths[1:])]
            lines.append("  ".join([name.ljust(widths[0]), *numbers]).rstrip())
        lines.append(describe_intervals(self.metrics))
        lines += [f"{flag['severity']} {flag['code']}: {flag['message']}" for flag in self.flags]
        lines += [f"written to {self.out}"] if self.out else []
        return "\n".join(map(one_line, lines))

    def _repr_html_(self) -> str:
        return draw_report(self.metrics, self.predictions, self.out)
