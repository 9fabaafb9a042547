"""Cross-validation: trains and evaluates a detector for every fold.

The workdir of fold k is WORKDIR/foldk; its detector is evaluated on the test part of this fold, so
that every video is scored once, by a detector that was not trained on it. WORKDIR/oof.parquet
contains these out-of-fold predictions. WORKDIR/folds.json and folds.md contain the metrics of every
fold, with mean and standard deviation.
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
from dfjax.evaluation.tables.predictions import read_predictions, write_predictions
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.phases import plan_run
from dfjax.files import finite, write_text
from dfjax.object_stores import refuse_urls
from dfjax.studies.run_series import (
    Summary,
    check_mlflow,
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
"""Metrics in `folds.md`, with their headings; `folds.json` contains all metrics."""


def train_folds(
    config: ConfigDict,
    workdir: Path,
    folds: int,
    accept: Sequence[str] = (),
    *,
    interrupt: Interrupt | None = None,
) -> dict[str, Any]:
    """Trains and evaluates the unfinished folds, and returns a summary of all.

    Args:
        config: Config of the runs.
        workdir: Folder of the study, with a workdir for every fold and the results.
        folds: Number K of folds.
        accept: Codes of audit errors that are accepted.
        interrupt: Object through which a signal handler requests the runs to stop.

    Raises:
        UsageError: There are fewer than 3 folds, the folder is the workdir of a single run or in an
            object store, or the config or the data are invalid.
        RunError: A run failed; see `run_training`.
        Stopped: A stop was requested, and everything is saved.
    """
    if folds < 3:
        raise UsageError(
            f"the number of folds must be at least 3, not {folds}: one is for testing and one for "
            "validation"
        )
    refuse_urls([workdir], "the workdir of all folds")
    check_study_folder(workdir)
    folders = [workdir / f"fold{number}" for number in range(1, folds + 1)]
    results = []
    plan_run(config, folders[0])
    check_mlflow([config])
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
        summary = summarise_folds(results)
        write_text(workdir / "folds.json", json.dumps(finite(summary), indent=2) + "\n")
        write_text(workdir / "folds.md", make_markdown(config.name, summary))
    return {
        "status": "trained" if any(r["status"] == "trained" for r in results) else "complete",
        "workdir": str(workdir),
        "folds": folds,
        "videos": int(predictions["video_id"].nunique()),
        **{name: summary["metrics"][name] for name in SHOWN},
    }


def summarise_folds(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the content of `folds.json`.

    Args:
        results: Summaries of the folds, with their `metrics`.
    """
    names = results[0]["metrics"]
    table = {name: [result["metrics"].get(name) for result in results] for name in names}
    return {"folds": list(results), "metrics": {k: spread(v) for k, v in table.items()}}


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Returns the mean and sample standard deviation of a metric, and the number `n` of values.

    Args:
        values: Values of the folds; None where the metric is undefined.
    """
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
    }


def make_markdown(name: str, summary: dict[str, Any]) -> str:
    """Returns the content of `folds.md`: a row per fold, and mean ± standard deviation.

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
    heading = f"# {name}: {count}-fold cross-validation, test split of each fold"
    return "\n".join([heading, "", *lines, "", *flags]).rstrip() + "\n"


def _evaluate(folder: Path, summary: Summary) -> dict[str, Any]:
    """Returns the checkpoint, metrics and flags of the evaluation of a fold."""
    result = evaluate_run(folder, reuse=summary["status"] == "complete")
    metrics = {k: v for k, v in result["overall"].items() if not isinstance(v, list)}
    return {"checkpoint": result["checkpoint"], "metrics": metrics, "flags": result["flags"]}


def _collect(folders: Sequence[Path]) -> pd.DataFrame:
    """Returns the predictions of all folds, with a column `fold`, which counts from 1."""
    tables = [
        read_predictions([folder / "eval" / "test" / "predictions.parquet"]).predictions
        for folder in folders
    ]
    return pd.concat(
        [table.assign(fold=number) for number, table in enumerate(tables, 1)], ignore_index=True
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
