"""Evaluation of detectors, and of predictions of any detector: `dfjax.evaluate`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dfjax.data.index.records import SPLITS, read_index
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.conventions.protocol_names import STRICT
from dfjax.evaluation.fusion.fusion_file import is_fusion, read_fusion
from dfjax.evaluation.report.view import Report
from dfjax.inference.tables import TableOptions, evaluate_tables, make_options
from dfjax.outputs import check_inside
from dfjax.store_workdirs import publish

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
    calibrated: bool = True,
    false_alarm_rate: float | None = None,
    miss_rate: float | None = None,
    protocol: str = STRICT,
    first_frames: int | None = None,
    threshold_from: AnyPath | None = None,
    columns: Mapping[str, str] | None = None,
    scale: str | None = None,
) -> Report:
    """Evaluates a detector, or predictions, and returns the report.

    Args:
        source: Workdir, safetensors file, detector from `dfjax.load`, prediction files, or a table.
        split: Split to evaluate; None for `test`. Of predictions `all` means all rows, as None does
            where they do not tell splits apart.
        index: For a detector, the data to evaluate it on, a pack, its index, or an index of crops;
            None for the data of the run. For predictions, an index with identities and groups.
        out: Folder for the results. None: `eval/SPLIT` in the workdir, or none for predictions.
        checkpoint: `best` or `last`, where `source` is a workdir.
        ensemble: Workdirs of further members, or `best` and `last` for checkpoints of the first.
        model: Config of a safetensors file whose header does not have one.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.
        calibrated: Whether the calibration in the workdir is used, where there is one.
        false_alarm_rate: Error rate of verdicts on real videos; None for that of the calibration.
        miss_rate: Error rate of verdicts on fakes; None for that of the calibration.
        protocol: `strict` or `deepfakebench-compat` (`benchmark_protocol`).
        first_frames: Number of frames of each video that the benchmark's protocol uses.
        threshold_from: Validation predictions whose best threshold is applied; None for rows `val`.
        columns: Columns of prediction files, as `{"video_id": "filename"}`, or those guessed.
        scale: Scale of the scores in prediction files: `prob`, `logit` or `percent`.

    Raises:
        UsageError: A workdir, checkpoint, file or split does not exist, or the split has no videos.
    """
    numbers = (protocol, first_frames, threshold_from)
    options = make_options(split, _path(index), *numbers, columns=columns, scale=scale)
    tables = _fuse(source, options) if _is_fusion(source) else _find_tables(source)
    if tables:
        if ensemble or passes or flip or false_alarm_rate is not None or miss_rate is not None:
            raise UsageError("ensemble, passes, flip and error rates need a detector, not tables")
        return evaluate_tables(tables, options, out=_path(out))
    if columns or scale or threshold_from:
        raise UsageError("columns, scale and threshold_from go with predictions, not a detector")
    scoring = {"ensemble": ensemble, "model": model, "passes": passes, "flip": flip, "seed": seed}
    judged = (calibrated, false_alarm_rate, miss_rate)
    return _evaluate_detector(source, checkpoint, scoring, options, _path(out), judged)


def _evaluate_detector(
    source: Any,
    checkpoint: str,
    scoring: Mapping[str, Any],
    options: TableOptions,
    out: Path | None,
    judged: tuple[bool, float | None, float | None],
) -> Report:
    """Evaluates a detector with the keyword arguments `scoring` of `load_ensemble`."""
    split = options.split or "test"
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    # Not imported above: evaluating predictions needs no JAX, which takes seconds to import.
    from dfjax.inference.ensemble import load_ensemble
    from dfjax.inference.ensemble_evaluation import evaluate_ensemble
    from dfjax.inference.judgement import find_judge

    scorer = load_ensemble(source, checkpoint, **scoring)
    folder = out or _find_folder(scorer.workdir, split)
    report = evaluate_ensemble(
        scorer,
        split=split,
        index=options.index,
        out=folder,
        numbers=options.numbers,
        judge=find_judge(scorer, *judged),
    )
    publish(source, folder)
    return report


def _is_fusion(source: Any) -> bool:
    return isinstance(source, str | os.PathLike) and is_fusion(source)


def _fuse(source: Any, options: TableOptions) -> list[Path | pd.DataFrame]:
    """Returns the combined table of a fusion of tables; none where it is one of detectors."""
    fusion = read_fusion(source)
    if fusion.members[0].kind != "table":
        return []
    from dfjax.inference.fuse import fuse_tables  # a third of a second

    known = read_index(options.index) if options.index else None
    return [fuse_tables(fusion, options.split, known)]


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
        is_table = path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir()
        return [path] if is_table and not is_fusion(path) else []
    if not isinstance(source, Sequence):
        return []
    if not source:
        raise UsageError("there are no prediction files to evaluate")
    return [Path(path) for path in source]
