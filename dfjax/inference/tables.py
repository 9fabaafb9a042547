"""Evaluation of prediction tables of any detector."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfjax.data.index.records import read_index
from dfjax.errors import UsageError
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
        UsageError: A file cannot be read, or no prediction belongs to the split.
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
