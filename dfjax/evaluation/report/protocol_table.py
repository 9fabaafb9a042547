"""The table of a protocol: a number for each detector and each test set, as papers print it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dfjax import REAL
from dfjax.evaluation.report.markdown import format_markdown
from dfjax.evaluation.report.metrics_json import Context, make_metrics
from dfjax.evaluation.tables.normalisation import COMPRESSION
from dfjax.files import atomic_path, write_json, write_text
from dfjax.outputs import COMMENT, TEX_COMMENT

TABLE_FILES = ("table.json", "table.md", "table.csv", "table.tex")
MEAN = "mean"
CORNER = "detector \\ test set"
RATES = ("raw", "c0", "c23", "c40")
"""Names of compressions, which are parts of the video ids of FaceForensics++."""


@dataclass(frozen=True)
class Selection:
    """A column of a protocol: which videos its numbers are computed of.

    Attributes:
        dataset: Name of the data set.
        methods: Manipulations, tested against all reals of the data set; empty for all.
        compression: Compression of the videos, or "" for any.
    """

    dataset: str
    methods: tuple[str, ...] = ()
    compression: str = ""

    def find(self, predictions: pd.DataFrame) -> Bool[np.ndarray, "N"]:
        """Returns a mask of the rows of these videos.

        Args:
            predictions: Table with the columns `predictions.COLUMNS`, and possibly `compression`.
        """
        mask = np.array(predictions["dataset"] == self.dataset)
        if self.methods:
            real = (predictions["label"] == REAL).to_numpy()
            mask &= real | predictions["method"].isin(self.methods).to_numpy()
        if self.compression:
            mask &= (find_compressions(predictions) == self.compression).to_numpy()
        return mask


@dataclass(frozen=True)
class Cell:
    """A number of the table.

    Attributes:
        row: Name of the detector.
        column: Name of the test set.
        value: Number, or None where it is undefined.
        interval: Bounds of its 95 % interval, or None.
        videos: Number of videos.
    """

    row: str
    column: str
    value: float | None
    interval: list[float] | None
    videos: int


@dataclass(frozen=True)
class ProtocolTable:
    """The table of one protocol.

    Attributes:
        title: Title of the table.
        metric: Name of the metric, as in `metrics.json`.
        protocol: Description of the protocol of the numbers.
        columns: Names of the test sets.
        cells: Numbers; test sets without data have none.
    """

    title: str
    metric: str
    protocol: str
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row for each detector: its numbers, and the mean over those that all have."""
        rows = list(dict.fromkeys(cell.row for cell in self.cells))
        table = pd.DataFrame(np.nan, index=rows, columns=list(self.columns))
        for cell in self.cells:
            if cell.value is not None:
                table.loc[cell.row, cell.column] = cell.value
        shared = table.columns[table.notna().all()]
        table[MEAN] = table[shared].mean(axis=1) if len(shared) else np.nan
        return table.rename_axis(CORNER).reset_index()

    def to_wide_frame(self) -> pd.DataFrame:
        """Returns `to_frame` with the bounds of the interval and the videos of each test set."""
        frame = self.to_frame()
        for column in self.columns:
            found = [self._find_cell(row, column) for row in frame[CORNER]]
            bounds = [(one.interval if one else None) or [np.nan, np.nan] for one in found]
            frame[f"{column} low"] = [low for low, _ in bounds]
            frame[f"{column} high"] = [high for _, high in bounds]
            frame[f"{column} videos"] = [one.videos if one else 0 for one in found]
        return frame

    def _find_cell(self, row: str, column: str) -> Cell | None:
        at = (row, column)
        return next((cell for cell in self.cells if (cell.row, cell.column) == at), None)

    def _find_bounds(self, row: str, column: str) -> str:
        """Returns the interval of a cell in LaTeX, or "" without one."""
        found = self._find_cell(row, column)
        if not found or not found.interval:
            return ""
        low, high = found.interval
        return f"{{\\scriptsize [{low:.3f}, {high:.3f}]}}"

    def to_json(self) -> dict[str, Any]:
        """Returns the table as one object for JSON."""
        return {
            "title": self.title,
            "metric": self.metric,
            "protocol": self.protocol,
            "columns": list(self.columns),
            "rows": [cell.__dict__ for cell in self.cells],
        }

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        return format_markdown(self.to_frame())

    @property
    def details(self) -> str:
        """The number, the 95 % interval and the videos of every cell, as Markdown."""
        rows = [
            {"detector": cell.row, "test set": cell.column, self.metric: cell.value}
            | {"95 %": "–".join(f"{x:.4f}" for x in cell.interval or []), "videos": cell.videos}
            for cell in self.cells
        ]
        return format_markdown(pd.DataFrame(rows))

    @property
    def latex(self) -> str:
        """The table in LaTeX, with the rules of the package booktabs."""
        frame = self.to_frame()
        lines = [f"\\begin{{tabular}}{{l{'c' * (len(frame.columns) - 1)}}}", "\\toprule"]
        heads = ["", *map(_escape, frame.columns[1:])]
        lines += [f"{' & '.join(heads)} \\\\", "\\midrule"]
        for name, *values in frame.itertuples(index=False):
            cells = ["--" if np.isnan(value) else f"{value:.4f}" for value in values]
            lines.append(f"{' & '.join([_escape(name), *cells])} \\\\")
            bounds = [self._find_bounds(name, column) for column in frame.columns[1:]]
            if any(bounds):
                lines.append(f"{' & '.join(['', *bounds])} \\\\")
        return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def find_compressions(predictions: pd.DataFrame) -> pd.Series:
    """Returns the compression of each row, by its column or the parts of the video's id, or ""."""
    if COMPRESSION in predictions:
        return predictions[COMPRESSION].fillna("").astype(str)
    codes, ids = pd.factorize(predictions["video_id"])
    rates = [next((part for part in re.split("[/@]", one) if part in RATES), "") for one in ids]
    return pd.Series(np.array(rates, object)[codes], predictions.index)


def measure_cell(
    row: str,
    column: str,
    chosen: pd.DataFrame,
    context: Context,
    metric: str,
    resamples: int,
) -> Cell:
    """Returns the number of a detector on a test set.

    Args:
        row: Name of the detector.
        column: Name of the test set.
        chosen: Predictions of its videos.
        context: Information besides the scores.
        metric: Name of the metric, as in `metrics.json`.
        resamples: Number of bootstrap resamples for the interval.
    """
    result = make_metrics(chosen, context, resamples=resamples)
    measured: Mapping[str, Any] = result["overall"]
    interval = measured.get(f"{metric}_ci")
    return Cell(row, column, measured.get(metric), interval, result["n"]["videos"])


def write_table(table: ProtocolTable, out: Path, notes: Sequence[str] = ()) -> None:
    """Writes `TABLE_FILES` to a folder.

    Args:
        table: Table to write.
        out: Folder of the files.
        notes: Sentences for the Markdown.
    """
    write_json(out / TABLE_FILES[0], table.to_json())
    heading = f"# {table.title}: {table.metric}"
    text = [COMMENT, heading, "", table.markdown, "", f"Protocol: {table.protocol}.", *notes]
    text += ["", table.details]
    write_text(out / TABLE_FILES[1], "\n".join(text) + "\n")
    with atomic_path(out / TABLE_FILES[2]) as partial:
        table.to_wide_frame().to_csv(partial, index=False)
    caption = f"{TEX_COMMENT} {table.title}: {table.metric}; {table.protocol}"
    write_text(out / TABLE_FILES[3], f"{caption}\n{table.latex}\n")


def _escape(text: object) -> str:
    """Returns a text for LaTeX, in which no character is a command."""
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return "".join(special.get(one, f"\\{one}" if one in "&%$#_{}" else one) for one in str(text))
