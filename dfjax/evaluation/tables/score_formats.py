"""Writes predictions in the formats of other programs."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dfjax.evaluation.tables.column_names import FORMATS
from dfjax.evaluation.tables.deepfakebench_scores import write_scores
from dfjax.evaluation.tables.dfwb_scores import SUFFIX, write_dfwb
from dfjax.outputs import check_outputs

Write = Callable[[pd.DataFrame, Path], None]


def _write_dfwb(predictions: pd.DataFrame, path: Path) -> None:
    write_dfwb(predictions, path, detector=path.parent.name or "dfjax")


WRITERS: dict[str, tuple[str, Write]] = {
    "dfwb": (f"predictions{{}}{SUFFIX}", _write_dfwb),
    "deepfakebench": ("deepfakebench_scores{}.json", write_scores),
}
"""Name of the file, in which the split may stand, and function that writes it, by `FORMATS`."""
assert set(WRITERS) == set(FORMATS)


def write_as(predictions: pd.DataFrame, format_name: str, out: Path) -> list[Path]:
    """Writes predictions in a format of another program, and returns the files.

    Of predictions of several splits there is a file for each, `predictions_val.scores.csv`.

    Args:
        predictions: Table with the columns `predictions.COLUMNS`.
        format_name: One of `FORMATS`.
        out: Folder of the files; its name is that of the detector in a score file of dfwb.

    Raises:
        UsageError: A file exists and dfjax did not write it.
    """
    name, write = WRITERS[format_name]
    splits = predictions["split"].unique()
    parts = {out / name.format(""): predictions}
    if len(splits) > 1:
        parts = {
            out / name.format(f"_{split}"): predictions[predictions["split"] == split]
            for split in sorted(splits)
        }
    check_outputs(parts)
    for path, rows in parts.items():
        write(rows.reset_index(drop=True), path)
    return list(parts)
