"""Evaluation of prediction tables of any detector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dfjax.data.index.records import read_index
from dfjax.errors import UsageError, first_line
from dfjax.evaluation.predictions import read_predictions
from dfjax.evaluation.report import RESULT_FILES, Context, make_metrics
from dfjax.evaluation.report_view import Report
from dfjax.outputs import check_outputs


def evaluate_tables(
    tables: Sequence[Path | pd.DataFrame],
    *,
    split: str | None = None,
    index: Path | None = None,
    out: Path | None = None,
) -> Report:
    """Evaluates predictions, joined with an index if one is given, and returns the report.

    Args:
        tables: Predictions as Parquet or CSV files, or as tables, which are not changed.
        split: Split whose rows are evaluated; None for all rows.
        index: Index with the identities and groups of the videos.
        out: Folder for `metrics.json`, `predictions.parquet` and the plots; None for no files.

    Raises:
        UsageError: A file cannot be read, no prediction belongs to the split, or none has a score.
    """
    if out:
        files = [table for table in tables if isinstance(table, Path)]
        check_outputs(
            (out / name for name in RESULT_FILES), inputs=[*files, *([index] if index else [])]
        )
    known = read_index(index) if index else None
    read = read_predictions(tables, known)
    predictions = read.predictions
    if split:
        predictions = predictions[predictions["split"] == split].reset_index(drop=True)
        if not len(predictions):
            found = ", ".join(sorted(set(read.predictions["split"])))
            raise UsageError(f"no prediction has split {split!r}; their splits are: {found}")
    _check_scored(predictions)
    context = Context(
        heldout_methods=read.heldout_methods,
        index=known,
        train_index=known[known["split"] == "train"] if known is not None else None,
        checkpoint=read.checkpoint,
        split=split,
        flags=read.flags,
    )
    result = make_metrics(predictions, context)
    if out:
        from dfjax.evaluation.result_files import write_results  # matplotlib takes a second

        write_results(out, predictions, result, context, title="")
    return Report(result, predictions, out)


def _check_scored(predictions: pd.DataFrame) -> None:
    if np.isfinite(predictions["fake_prob"]).any():
        return
    reason = "fake_prob and logit are empty or NaN"
    if "error" in predictions and (errors := predictions["error"].dropna().astype(str)).any():
        reason += f", and the commonest error is: {first_line(errors.mode().iloc[0]):.200}"
    raise UsageError(f"none of the {len(predictions)} predictions has a score: {reason}")
