"""Evaluation of prediction tables of any detector."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import RenderableType

from dfjax.data.index.records import find_index, read_index
from dfjax.errors import UsageError, first_line
from dfjax.evaluation.comparison.comparison_files import (
    COMPARISON_FILES,
    write_comparison,
)
from dfjax.evaluation.comparison.detectors import compare_scores
from dfjax.evaluation.comparison.differences import Comparison
from dfjax.evaluation.conventions.benchmark_protocol import Numbers
from dfjax.evaluation.conventions.checkpoint_choice import choose_checkpoints
from dfjax.evaluation.conventions.protocol_names import STRICT
from dfjax.evaluation.flags import Flag, make_flag
from dfjax.evaluation.metrics.named_metrics import Frozen, freeze_threshold
from dfjax.evaluation.report.metrics_json import RESULT_FILES, Context, make_metrics
from dfjax.evaluation.report.table import draw_flag, list_detectors
from dfjax.evaluation.report.view import Report
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.predictions import ReadResult, read_predictions
from dfjax.evaluation.tables.split_choice import VALIDATION, choose_split
from dfjax.evaluation.tables.unscored import count_unscored
from dfjax.evaluation.tables.wide_tables import read_detectors, share_columns
from dfjax.evaluation.videos.aggregation import VIDEO, aggregate, clean
from dfjax.outputs import check_outputs
from dfjax.results import Result

Tables = Sequence[Path | pd.DataFrame]
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class TableOptions:
    """How tables are evaluated.

    Attributes:
        split: Split whose rows are evaluated, or `all`; None for `test` (see `choose_split`).
        index: Index with the identities and groups of the videos, or None.
        form: How tables of other programs are to be read.
        numbers: Protocol of the numbers.
        threshold_from: Predictions of the validation split, or None.
    """

    split: str | None = None
    index: Path | None = None
    form: TableForm = field(default_factory=TableForm)
    numbers: Numbers = field(default_factory=Numbers)
    threshold_from: Path | None = None


def make_options(
    split: str | None,
    index: Path | None,
    protocol: str = STRICT,
    first_frames: int | None = None,
    threshold_from: AnyPath | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    scale: str | None = None,
) -> TableOptions:
    """Returns options of `TableOptions` from keyword arguments of `dfjax.evaluate`.

    Raises:
        UsageError: A protocol or scale is unknown.
    """
    return TableOptions(
        split=split,
        index=index,
        form=TableForm(columns or {}, scale),
        numbers=Numbers(protocol, first_frames),
        threshold_from=Path(threshold_from) if threshold_from else None,
    )


@dataclass(frozen=True)
class DetectorReports(Result):
    """The evaluations of several detectors on the same videos.

    Attributes:
        reports: Report of each detector, by its name.
        comparison: Differences between all pairs of detectors; None for one detector.
        chosen: Detectors chosen as checkpoints are (`choose_checkpoints`), or empty.
        out: Folder with a folder of results per detector, or None.
    """

    reports: dict[str, Report]
    comparison: Comparison | None
    chosen: dict[str, Any] = field(default_factory=dict)
    out: Path | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of `metrics.json` of each detector, by its name."""
        return {name: report.metrics for name, report in self.reports.items()}

    @property
    def has_findings(self) -> bool:
        """Whether a flag of a detector is an error."""
        return any(report.has_findings for report in self.reports.values())

    def describe(self) -> list[RenderableType]:
        """Returns a table of the detectors, and lines with their flags, each of which is once."""
        flags = {f["message"]: f for report in self.reports.values() for f in report.flags}
        lines: list[RenderableType] = [list_detectors(self.metrics)]
        lines += map(draw_flag, flags.values())
        compared = ", comparison.md" if self.comparison else ""
        written = f"written to {self.out}: a folder for each detector{compared}"
        return [*lines, written] if self.out else lines

    def to_json(self) -> dict[str, Any]:
        """Returns the metrics of each detector and the comparison, as one object for JSON."""
        compared = self.comparison.to_json() if self.comparison else {}
        return {"detectors": self.metrics, **compared, "chosen": self.chosen}

    def write_scores(self, format_name: str) -> list[Path]:
        """Writes the predictions of each detector as `Report.write_scores` does."""
        written = [report.write_scores(format_name) for report in self.reports.values()]
        return [path for paths in written for path in paths]


def evaluate_tables(
    tables: Tables, options: TableOptions | None = None, *, out: Path | None = None
) -> Report:
    """Evaluates predictions, joined with an index if one is given, and returns the report.

    Args:
        tables: Predictions in files (see `read_predictions`), or as tables, which are not changed.
        options: How they are evaluated; None for the defaults, without an index.
        out: Folder for `metrics.json`, `predictions.parquet` and the plots; None for no files.

    Raises:
        UsageError: A file cannot be read, no prediction belongs to the split, or none has a score.
    """
    options = options or TableOptions()
    files = _list_files(tables, options)
    if out:
        check_outputs((out / name for name in RESULT_FILES), inputs=files.values())
    known = read_index(options.index) if options.index else None
    read = read_predictions(tables, known, options.form)
    return _evaluate(read, known, options, files, out)


def evaluate_detectors(
    tables: Tables, pattern: str, options: TableOptions | None = None, *, out: Path | None = None
) -> DetectorReports:
    """Evaluates every detector of a wide table, and compares all of them.

    Args:
        tables: Predictions with one column of scores per detector.
        pattern: Pattern of these columns, such as `prob_*`.
        options: How they are evaluated; None for the defaults, without an index.
        out: Folder for a folder of results per detector, and for `comparison.*`; None for no files.

    Raises:
        UsageError: As `evaluate_tables`, no column matches the pattern, or a threshold of one
            detector would be applied to all.
    """
    options = options or TableOptions()
    if options.threshold_from:
        raise UsageError(
            "threshold_from is of one detector; with several, give rows of split val in the table"
        )
    known = read_index(options.index) if options.index else None
    read = read_detectors(tables, pattern, known, options.form)
    files = _list_files(tables, options)
    if out:
        results = [out / name / file for name in read for file in RESULT_FILES]
        results += [out / name for name in COMPARISON_FILES]
        check_outputs(results, inputs=files.values())
    reports: dict[str, Report] = {}
    firsts: dict[int, pd.DataFrame] = {}
    for name, one in read.items():
        report = _evaluate(one, known, options, files, out / name if out else None)
        assert report.predictions is not None
        shared = share_columns(report.predictions, firsts)
        reports[name] = replace(report, predictions=shared)
    comparison, chosen = None, dict[str, Any]()
    if len(reports) > 1:
        predictions = [one.predictions for one in reports.values() if one.predictions is not None]
        held_back = next(iter(read.values())).heldout_methods
        comparison = compare_scores(
            predictions, list(reports), index=known, heldout_methods=held_back
        )
        chosen = choose_checkpoints(
            {name: report.metrics for name, report in reports.items()},
            {name: one.predictions for name, one in read.items()},
            options.numbers.protocol,
            held_back,
        )
        if out:
            write_comparison(comparison, out, chosen)
    return DetectorReports(reports, comparison, chosen, out)


def _evaluate(
    read: ReadResult,
    known: pd.DataFrame | None,
    options: TableOptions,
    files: dict[str, Path],
    out: Path | None,
) -> Report:
    predictions, split, notes = choose_split(read.predictions, options.split)
    _check_scored(predictions)
    frozen, doubts = _freeze(read, options, split, predictions)
    context = Context(
        frozen=frozen,
        heldout_methods=read.heldout_methods,
        index=known,
        train_index=known[known["split"] == "train"] if known is not None else None,
        checkpoint=read.checkpoint,
        split=split,
        unreadable=count_unscored(read.flags),
        flags=[*read.flags, *notes, *doubts],
        numbers=options.numbers,
        files=files,
    )
    result = make_metrics(predictions, context)
    if out:
        from dfjax.evaluation.report.result_files import write_results  # matplotlib takes a second

        write_results(out, predictions, result, context, title="")
    return Report(result, predictions, out)


def _freeze(
    read: ReadResult, options: TableOptions, split: str | None, evaluated: pd.DataFrame
) -> tuple[Frozen | None, list[Flag]]:
    """Returns the threshold of the validation predictions, or of the val rows of a table.

    The flags say if no threshold can be chosen, or if the evaluated videos include those that it
    was chosen on.

    Args:
        read: All rows of the tables.
        options: How they are evaluated.
        split: Split that is evaluated; None for all rows.
        evaluated: Its rows.
    """
    if options.threshold_from:
        form = options.form
        chosen = read_predictions([options.threshold_from], form=form).predictions
        source = str(options.threshold_from)
    else:
        chosen, source = read.predictions, f"{VALIDATION} rows of the table"
        chosen = chosen[chosen["split"] == VALIDATION]
        if split == VALIDATION or not len(chosen):
            return None, []
        if split is None and len(chosen) == len(read.predictions):
            return None, []
    videos = aggregate(clean(chosen))
    frozen = freeze_threshold(
        videos["fake_prob"].to_numpy(np.float64), videos["label"].to_numpy(np.int64), source
    )
    if frozen is None:
        message = f"no threshold is chosen on {source}: it has scores of one class at most"
        return None, [make_flag("no_threshold", "warning", message)]
    shared = evaluated[VIDEO].drop_duplicates().merge(videos[VIDEO], on=VIDEO)
    if not len(shared):
        return frozen, []
    message = (
        f"{len(shared)} evaluated videos are also those that the threshold was chosen on "
        f"({source}): accuracy_at_val is optimistic; evaluate another split"
    )
    return frozen, [make_flag("threshold_on_evaluated", "warning", message, shared["video_id"])]


def _list_files(tables: Tables, options: TableOptions) -> dict[str, Path]:
    """Returns the files that are read, by the names in the record of inputs."""
    paths = [table for table in tables if isinstance(table, Path)]
    files = {f"source {number}": path for number, path in enumerate(paths, 1)}
    files |= {"index": find_index(options.index)} if options.index else {}
    return files | ({"threshold": options.threshold_from} if options.threshold_from else {})


def _check_scored(predictions: pd.DataFrame) -> None:
    if np.isfinite(predictions["fake_prob"]).any():
        return
    reason = "fake_prob and logit are empty or NaN"
    if "error" in predictions and (errors := predictions["error"].dropna().astype(str)).any():
        reason += f", and the commonest error is: {first_line(errors.mode().iloc[0]):.200}"
    raise UsageError(f"none of the {len(predictions)} predictions has a score: {reason}")
