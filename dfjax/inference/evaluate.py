"""Evaluates detectors on their own or other data, and predictions of anyone: `dfjax.evaluate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dfjax.data.index.records import SPLITS
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.report_view import Report
from dfjax.inference.tables import evaluate_tables

if TYPE_CHECKING:
    from dfjax.inference.detector import Detector

TABLE_SUFFIXES = (".parquet", ".csv", ".txt")
"""Endings of files of predictions; other names are taken for workdirs."""

AnyPath = str | os.PathLike[str]


def evaluate(
    source: AnyPath | Detector | pd.DataFrame | Sequence[AnyPath],
    *,
    split: str | None = None,
    index: AnyPath | None = None,
    out: AnyPath | None = None,
    checkpoint: str = "best",
    ensemble: Sequence[AnyPath] = (),
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
) -> Report:
    """Returns the evaluation of a detector on its own or other data, or of predictions.

    Args:
        source: Workdir of a training run, a detector from `dfjax.load`, one or more files of
            predictions, or a table of them.
        split: Split whose videos are evaluated. None means `test`, and all rows of predictions.
        index: Other data than the run's: a pack, its index, or an index of crops, which are packed
            first. With predictions: the index that says who is in the videos.
        out: Folder for the results. None means `eval/SPLIT` in the workdir, and writes nothing for
            predictions.
        checkpoint: `best` or `last`, where `source` is a workdir.
        ensemble: Further workdirs whose detectors score too, or `best` and `last` of the first.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.

    Raises:
        UsageError: No such workdir, checkpoint, file, data or split, or a split without videos.
    """
    tables = _find_tables(source)
    if tables:
        if ensemble or passes or flip:
            raise UsageError("predictions are scored: ensemble, passes and flip need a workdir")
        return evaluate_tables(
            tables, split=split, index=_path(index), out=Path(out) if out else None
        )
    assert not isinstance(source, pd.DataFrame | Sequence) or isinstance(source, str)
    split = split or "test"
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    # Predictions are measured without JAX, whose import takes longer than measuring most tables.
    from dfjax.inference.ensemble import load_ensemble
    from dfjax.inference.ensemble_evaluation import evaluate_ensemble

    scorer = load_ensemble(
        source, checkpoint, ensemble=ensemble, passes=passes, flip=flip, seed=seed
    )
    folder = Path(out) if out else scorer.members[0].workdir / "eval" / split
    return evaluate_ensemble(scorer, split=split, index=_path(index), out=folder)


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)


def _find_tables(
    source: AnyPath | Detector | pd.DataFrame | Sequence[AnyPath],
) -> list[Path | pd.DataFrame]:
    """Returns the tables of predictions, none where the source is a workdir or a detector."""
    if isinstance(source, pd.DataFrame):
        return [source]
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return [path] if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir() else []
    if not isinstance(source, Sequence):
        return []
    if not source:
        raise UsageError("there are no files of predictions to evaluate")
    return [Path(path) for path in source]
