"""Evaluation of detectors, and of predictions of any detector: `dfjax.evaluate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from dfjax.data.index.records import SPLITS
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.report_view import Report
from dfjax.inference.tables import Reading, evaluate_tables, make_options
from dfjax.outputs import check_inside

if TYPE_CHECKING:
    from dfjax.inference.detector import Detector

TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".txt", ".json")
"""Suffixes of prediction files; paths with other suffixes are workdirs."""

AnyPath = str | os.PathLike[str]


def evaluate(
    source: AnyPath | Detector | pd.DataFrame | Sequence[AnyPath],
    *,
    split: str | None = None,
    index: AnyPath | None = None,
    out: AnyPath | None = None,
    checkpoint: str = "best",
    ensemble: Sequence[AnyPath] = (),
    model: str = "",
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
    **reading: Unpack[Reading],
) -> Report:
    """Evaluates a detector, or predictions, and returns the report.

    Args:
        source: Workdir of a training run, a safetensors file, a detector from `dfjax.load`, one or
            more prediction files, or a table of predictions.
        split: Split whose videos are evaluated. None means `test` for a detector, and all rows for
            predictions.
        index: For a detector, the data to evaluate it on: a pack, its index, or an index of crops,
            which are packed first; None for the data of the run. For predictions, the index with
            the identities and groups of the videos; None for no index.
        out: Folder for the results. None: `eval/SPLIT` in the workdir, or none for predictions.
        checkpoint: `best` or `last`, where `source` is a workdir.
        ensemble: Workdirs of further members, or `best` and `last` for checkpoints of the first.
        model: Config of a safetensors file whose header does not have one.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.
        **reading: How numbers are computed, and predictions are read (see `Reading`).

    Raises:
        UsageError: A workdir, checkpoint, file or split does not exist, or the split has no videos.
    """
    options = make_options(split, _path(index), **reading)
    tables = _find_tables(source)
    if tables:
        if ensemble or passes or flip:
            raise UsageError("ensemble, passes and flip need a workdir, not predictions")
        return evaluate_tables(tables, options, out=_path(out))
    if any(reading.get(name) for name in ("columns", "scale", "threshold_from")):
        raise UsageError("columns, scale and threshold_from go with predictions, not a detector")
    assert not isinstance(source, pd.DataFrame | Sequence) or isinstance(source, str)
    split = split or "test"
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    # Not imported above: evaluating predictions needs no JAX, which takes seconds to import.
    from dfjax.inference.ensemble import load_ensemble
    from dfjax.inference.ensemble_evaluation import evaluate_ensemble

    scorer = load_ensemble(
        source, checkpoint, ensemble=ensemble, model=model, passes=passes, flip=flip, seed=seed
    )
    folder = _path(out) or _find_folder(scorer.members[0].workdir, split)
    return evaluate_ensemble(
        scorer, split=split, index=_path(index), out=folder, numbers=options.numbers
    )


def _find_folder(workdir: Path, split: str) -> Path:
    folder = workdir / "eval" / split
    check_inside(folder, workdir)
    return folder


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)


def _find_tables(
    source: AnyPath | Detector | pd.DataFrame | Sequence[AnyPath],
) -> list[Path | pd.DataFrame]:
    """Returns the prediction tables; none where the source is a workdir or a detector."""
    if isinstance(source, pd.DataFrame):
        return [source]
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return [path] if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir() else []
    if not isinstance(source, Sequence):
        return []
    if not source:
        raise UsageError("there are no prediction files to evaluate")
    return [Path(path) for path in source]
