"""Reads what a report shows: the files of a workdir and of its evaluations. Nothing is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from dfjax.errors import FileError, InputError, UsageError
from dfjax.evaluation.calibration.calibration_file import CALIBRATION, REMEDY, SCHEMA
from dfjax.evaluation.figures.plots import read_history
from dfjax.evaluation.tables.predictions import read_predictions
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.data_audit import read_report
from dfjax.experiment.run import HISTORY
from dfjax.files import read_hashed_json
from dfjax.json_files import read_json

METRICS = {str: (float, None, [(float, None)])}
SHARE = (float, None)
CALIBRATED = {
    "reliability": {name: {"log_loss": float, "ece": float} for name in ("before", "after")},
    "verdicts": {
        name: {"real": SHARE, "undecided": SHARE, "fake": SHARE} for name in ("real", "fake")
    },
    **{"false_alarm_rate": SHARE, "false_alarm_rate_ci": (None, [float])},
    **{"miss_rate": SHARE, "miss_rate_ci": (None, [float])},
    "guarantee": (
        None,
        {
            **{"holds": (bool, None), "reason": (str, None), "shortages?": [str]},
            **{"false_alarm_rate": float, "miss_rate": float},
        },
    ),
}
RESULT = {
    "overall": METRICS,
    **{name: {str: METRICS} for name in ("by_dataset", "by_method", "unseen_methods")},
    **{"macro": METRICS, "heldout_methods": [str], "by_identity?": {str: METRICS}},
    "flags": [{"code": str, "severity": str, "message": str, "ids": [str]}],
    "n": {"videos": int, "clips": int, "frames": int, "real": int, "fake": int, "unreadable": int},
    **{"split": str, "checkpoint": (str, None), "protocol": str, "generated": str},
    **{"resampled": str, "clusters": int},
    "calibration?": (None, CALIBRATED),
    "inputs?": {"files": {str: {"path": str, "sha256": str}}},
}
"""Schema of `metrics.json`, as far as a report reads it."""

INTERVAL = ([(float, None)], None)
CURVE = {
    "severity": str,
    "values": [float],
    "video_auc": [(float, None)],
    "video_auc_ci": [INTERVAL],
    "area": (float, None),
    **{"area_ci": INTERVAL, "loss_ci": INTERVAL, "videos": int},
}
SHORTCUT = {"shortcut": str, "auc": float, "auc_ci?": INTERVAL, "share": (float, None)}
BINS = {
    "log_loss": float, "brier": float, "ece": float,
    "bins": [{"n": int, "mean": float, "share": float}],
}  # fmt: skip
CHOICE = {"kind": str, "log_loss": float, "log_loss_ci": INTERVAL}
DOCUMENTS: dict[str, dict[Any, Any]] = {
    "calibration": {
        **SCHEMA,
        "groups": {"real": int, "fake": int},
        "choice": [CHOICE | {"change": float, "change_ci": INTERVAL}],
        "reliability": {"before": BINS, "after": BINS},
    },
    "robustness": {"robustness": {str: CURVE}, "left_out": {str: str}},
    "probe": {
        "detector_auc": {"video_auc": (float, None), "video_auc_ci?": INTERVAL},
        "shortcuts": [SHORTCUT | {"share_ci?": INTERVAL}],
        "videos": {"real": int, "fake": int},
    },
    "drift": {str: object},
    "fusion": {str: object},
}
"""Further JSON files of a workdir or an evaluation that a report shows, and their schemas."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of a detector.

    Attributes:
        folder: Folder of `metrics.json`.
        metrics: Content of `metrics.json`.
        predictions: Content of `predictions.parquet`, or None if it is missing.
        documents: Content of `DOCUMENTS` beside it, by name.
    """

    folder: Path
    metrics: dict[str, Any]
    predictions: pd.DataFrame | None
    documents: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RunSource:
    """What a report shows of one detector.

    Attributes:
        workdir: Folder of the run.
        config: Config that it was trained with.
        versions: Versions of packages and the git revision at the start of training.
        history: Table `history.csv`, or None.
        audit: Content of `audit.json`, or None.
        evaluations: Evaluations, that of the test split first.
        documents: Content of `DOCUMENTS` in the workdir, by name.
        notes: Sentences on files that could not be read.
    """

    workdir: Path
    config: ConfigDict
    versions: dict[str, Any]
    history: pd.DataFrame | None
    audit: dict[str, Any] | None
    evaluations: list[Evaluation]
    documents: dict[str, Any]
    notes: list[str]

    @property
    def has_drawn_faces(self) -> bool:
        """Whether the run was trained on the synthetic faces that it made."""
        data = self.config.data
        return bool(data.synthetic.videos and not (data.path or data.features))

    @property
    def name(self) -> str:
        """Name of the run, that of its folder."""
        return self.workdir.resolve().name


def read_run(workdir: Path, evaluations: Sequence[Path] = ()) -> RunSource:
    """Returns the content of a workdir.

    A damaged file is left out and named in `notes`; the config must be readable.

    Args:
        workdir: Folder of a training run.
        evaluations: Folders of evaluations outside of the workdir.

    Raises:
        UsageError: The folder is not a workdir, or a folder of `evaluations` has no `metrics.json`.
    """
    config = workdirs.load(workdir)
    notes: list[str] = []
    for folder in evaluations:
        if not (folder / "metrics.json").is_file():
            raise UsageError(f"{folder} has no metrics.json: it is no folder of an evaluation")
    inside = [path.parent for path in workdir.glob("eval/*/metrics.json")]
    folders = [*evaluations, *sorted(inside, key=lambda path: (path.name != "test", path.name))]
    history = workdir / HISTORY
    return RunSource(
        workdir=workdir,
        config=config,
        versions=_attempt(_read_versions, workdir, notes) or {},
        history=_attempt(read_history, history, notes) if history.is_file() else None,
        audit=_attempt(read_report, workdir, notes),
        evaluations=[found for path in folders if (found := _attempt(_read, path, notes))],
        documents=_read_documents(workdir, notes),
        notes=notes,
    )


def _read(folder: Path) -> Evaluation:
    metrics = read_json(folder / "metrics.json", RESULT, remedy="evaluate again")
    table = folder / "predictions.parquet"
    predictions = read_predictions([table]).predictions if table.is_file() else None
    return Evaluation(folder, metrics, predictions, _read_documents(folder, []))


def _read_versions(workdir: Path) -> dict[str, Any]:
    path = workdir / "versions.json"
    found: dict[str, Any] = read_json(path, {str: (str, None)}) if path.is_file() else {}
    return found


def _read_documents(folder: Path, notes: list[str]) -> dict[str, Any]:
    found = {}
    for name in DOCUMENTS:
        path = folder / f"{name}.json"
        if path.is_file() and (content := _attempt(_read_document, path, notes)) is not None:
            found[name] = content
    return found


def _read_document(path: Path) -> dict[str, Any]:
    schema = DOCUMENTS[path.stem]
    if path.name == CALIBRATION:
        return dict(read_hashed_json(path, schema, remedy=REMEDY))
    content: dict[str, Any] = read_json(path, schema, remedy="make it again")
    return content


def _attempt(read: Any, path: Path, notes: list[str]) -> Any:
    """Returns what `read(path)` returns, or None and a note where the file is damaged."""
    try:
        return read(path)
    except (FileError, InputError, UsageError) as error:
        notes.append(str(error))
        return None
