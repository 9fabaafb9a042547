"""Cross-validation as one command: `dfjax train --fold all/K`.

Fold k is an ordinary workdir, WORKDIR/foldk, trained and then evaluated on its own fold. Over all
folds every video is scored once, by a detector that did not train on it: those scores are
WORKDIR/oof.parquet. WORKDIR/folds.json and folds.md have every metric of every fold, with mean and
standard deviation.
"""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from dfjax.config import override
from dfjax.console import say
from dfjax.errors import UsageError
from dfjax.evaluation.predictions import read_predictions, write_predictions
from dfjax.experiment import workdir as workdirs
from dfjax.files import finite, write_text
from dfjax.studies.run_series import (
    Summary,
    check_study_folder,
    evaluate_run,
    share_synthetic,
    train_run,
)
from dfjax.training.interrupt import Interrupt

SHOWN = {
    "video_auc": "AUC",
    "ap": "AP",
    "eer": "EER",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
"""Metrics in `folds.md`, and their headings; `folds.json` has all."""


def train_folds(
    config: ConfigDict,
    workdir: Path,
    folds: int,
    accept: Sequence[str] = (),
    *,
    interrupt: Interrupt | None = None,
) -> dict[str, Any]:
    """Trains and evaluates every fold, or what is left of them, and returns a summary.

    Args:
        config: The experiment.
        workdir: Folder of the study; gets a workdir per fold, and the results of all.
        folds: Number of folds, K.
        accept: Codes of audit errors in the data to train with all the same.
        interrupt: Where a signal handler asks the runs to stop.

    Raises:
        UsageError: There are fewer than 3 folds, the folder is the workdir of a single run, or as
            `run_training`.
        RunError: As `run_training`.
        Stopped: A stop was requested; everything is saved.
    """
    if folds < 3:
        raise UsageError(f"{folds} folds: one tests and one validates, so K is 3 or more")
    check_study_folder(workdir)
    folders = [workdir / f"fold{number}" for number in range(1, folds + 1)]
    results = []
    with workdirs.locked(workdir):
        for number, folder in enumerate(folders, 1):
            fold = f"{number}/{folds}"
            say(f"fold {fold}: {folder}")
            items = [f"data.fold={fold}", *share_synthetic(config, workdir)]
            summary = train_run(override(config, items), folder, accept, interrupt)
            results.append({"fold": fold, **summary, **_evaluate(folder, summary)})
        predictions = _collect(folders)
        write_predictions(
            predictions,
            workdir / "oof.parquet",
            checkpoint=f"best of {folds} folds",
            heldout_methods=config.data.holdout_methods,
        )
        summary = summarise(results)
        write_text(workdir / "folds.json", json.dumps(finite(summary), indent=2) + "\n")
        write_text(workdir / "folds.md", make_markdown(config.name, summary))
    return {
        "status": "trained" if any(r["status"] == "trained" for r in results) else "complete",
        "workdir": str(workdir),
        "folds": folds,
        "videos": int(predictions["video_id"].nunique()),
        **{name: summary["metrics"][name] for name in SHOWN},
    }


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the content of `folds.json`.

    Args:
        results: Summaries of the folds, each with its `metrics`.
    """
    names = results[0]["metrics"]
    table = {name: [result["metrics"].get(name) for result in results] for name in names}
    return {"folds": list(results), "metrics": {k: spread(v) for k, v in table.items()}}


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Returns mean and sample standard deviation over the folds that define a metric, and `n`."""
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
    }


def make_markdown(name: str, summary: dict[str, Any]) -> str:
    """Returns the table of `folds.md`: a row per fold, then mean ± standard deviation.

    Args:
        name: Name of the config.
        summary: Content of `folds.json`.
    """
    rows = [["fold", "best epoch", *SHOWN.values()], ["---"] * (len(SHOWN) + 2)]
    for result in summary["folds"]:
        values = [_number(result["metrics"].get(key)) for key in SHOWN]
        rows.append([result["fold"], str(result["best_epoch"]), *values])
    spreads = [summary["metrics"][key] for key in SHOWN]
    rows.append(["mean ± sd", "", *(f"{_number(s['mean'])} ± {_number(s['sd'])}" for s in spreads)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    flags = [
        f"- fold {result['fold']}, {flag['severity']} {flag['code']}: {flag['message']}"
        for result in summary["folds"]
        for flag in result["flags"]
    ]
    count = len(summary["folds"])
    heading = f"# {name}: {count}-fold cross-validation, each fold by the detector that did not see"
    return "\n".join([f"{heading} it", "", *lines, "", *flags]).rstrip() + "\n"


def _evaluate(folder: Path, summary: Summary) -> dict[str, Any]:
    """The checkpoint, metrics and flags of a fold's evaluation."""
    result = evaluate_run(folder, reuse=summary["status"] == "complete")
    metrics = {k: v for k, v in result["overall"].items() if not isinstance(v, list)}
    return {"checkpoint": result["checkpoint"], "metrics": metrics, "flags": result["flags"]}


def _collect(folders: Sequence[Path]) -> pd.DataFrame:
    """The predictions of all folds, with a column `fold`, counted from 1."""
    tables = [
        read_predictions([folder / "eval" / "test" / "predictions.parquet"]).predictions
        for folder in folders
    ]
    return pd.concat(
        [table.assign(fold=number) for number, table in enumerate(tables, 1)], ignore_index=True
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
