"""Functions for the runs of a study: training or resuming, and evaluating once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dfjax.errors import UsageError
from dfjax.experiment.mlflow_log import connect_first
from dfjax.experiment.run_data import synthetic_pack
from dfjax.experiment.train import run_training
from dfjax.files import finite
from dfjax.inference.ensemble import describe_draws
from dfjax.inference.evaluate import evaluate
from dfjax.json_files import read_mark
from dfjax.outputs import check_outputs
from dfjax.training.interrupt import Interrupt

Summary = dict[str, Any]
Metrics = dict[str, Any]

METRICS = {
    "checkpoint": str,
    "overall": {str: object},
    "by_dataset": {str: object},
    "unseen_methods": {str: {"video_auc": (float, None)}},
    "flags": [{"code": str, "severity": str, "message": str}],
}
"""Schema of `metrics.json`, as far as a study reads it."""


def train_run(
    config: ConfigDict, workdir: Path, accept: Sequence[str], interrupt: Interrupt | None
) -> Summary:
    """Trains or resumes a run and returns its summary; see `run_training`.

    A server of MLflow that is lost is a warning: the same study logs the rest.
    """
    return run_training(config, workdir, accept, interrupt=interrupt, must_log=False)


def check_mlflow(configs: Iterable[ConfigDict]) -> None:
    """Checks that MLflow can be used, before a study whose configs ask for it begins.

    Raises:
        UsageError: MLflow is not installed, or its server cannot be used.
    """
    for config in configs:
        if connect_first(config):
            return


def evaluate_run(
    workdir: Path,
    *,
    out: Path | None = None,
    options: Mapping[str, Any] | None = None,
    reuse: bool = False,
) -> Metrics:
    """Evaluates the best checkpoint of a run on the test split; returns the metrics.

    Args:
        workdir: Workdir of a finished run.
        out: Folder of the results; None for WORKDIR/eval/test.
        options: Further arguments of `evaluate`: `ensemble`, `passes`, `flip`.
        reuse: Whether existing results in `out` are returned if they are of a single detector with
            the same options, and not damaged.

    Returns:
        Content of `metrics.json`.
    """
    out, options = out or workdir / "eval" / "test", dict(options or {})
    written = out / "metrics.json"
    if reuse and not options.get("ensemble") and written.is_file():
        result = read_mark(written, METRICS)
        draws = describe_draws(**options)
        checkpoint = r"best/\d+" + re.escape(f"; {draws}" if draws else "")
        if result is not None and re.fullmatch(checkpoint, result["checkpoint"]):
            return result
    return finite(evaluate(workdir, split="test", out=out, **options).metrics)


def share_synthetic(config: ConfigDict, workdir: Path) -> list[str]:
    """Returns the override by which all runs of a study share one synthetic set.

    The set is generated if it does not exist. The result is empty if the config names its data.

    Args:
        config: Config of a run, with the size of the set and whether it has optical flow and masks.
        workdir: Folder of the study.
    """
    if config.data.path or config.data.features or not config.data.synthetic.videos:
        return []
    return [f"data.path={synthetic_pack(config, workdir / 'data').resolve()}"]


def check_study_folder(workdir: Path) -> None:
    """Checks that a folder can be used for a study.

    Raises:
        UsageError: It is the workdir of a single run, or holds tables that dfjax did not write.
    """
    check_outputs(workdir / f"table{suffix}" for suffix in (".csv", ".json", ".png"))
    if (workdir / "config.json").exists():
        raise UsageError(f"{workdir} is the workdir of a single run; use another folder")
