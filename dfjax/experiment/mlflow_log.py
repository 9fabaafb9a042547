"""Logs a training run to MLflow: what of its config, versions and files goes there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from dfjax import processes, schema
from dfjax.config_overrides import leaves
from dfjax.console import say
from dfjax.errors import RunError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.generator_check import is_generator
from dfjax.losses.registry import LOSSES
from dfjax.models.registry import MODELS
from dfjax.training.interrupt import Stopped
from dfjax.training.metric_writer import MetricWriter, read_jsonl
from dfjax.training.mlflow_run import Mlflow, MlflowRun, connect

FILES = (
    *("config.yaml", "versions.json", "history.csv", "curves.png", "audit.json", "audit.html"),
    *("report.html", "eval/*/metrics.json"),
)
"""Files of a workdir that are uploaded at the end, as far as they are there."""


def connect_first(config: ConfigDict) -> Mlflow | None:
    """Returns a connection to MLflow in process 0 if the config asks for it, or None.

    Args:
        config: Config of the run; its key `writers.mlflow` asks for it.

    Raises:
        UsageError: MLflow is not installed, or its server cannot be used.
    """
    with processes.first_alone():
        return connect() if config.writers.mlflow and processes.is_first() else None


@contextlib.contextmanager
def logged(
    mlflow: Mlflow | None,
    config: ConfigDict,
    workdir: Path,
    index: pd.DataFrame,
    writer: MetricWriter,
) -> Iterator[None]:
    """Logs the training in the block, and how it ended.

    Args:
        mlflow: Connection; without one nothing is logged.
        config: Config of the run.
        workdir: Folder of the run.
        index: Index of its data.
        writer: Writer of the metrics in the block, which then writes to MLflow too.

    Raises:
        UsageError: The server does not have the run of this workdir.
        RunError: The training is finished, but the server cannot be written.
    """
    if mlflow is None:
        yield
        return
    params, tags = list_params(config), list_tags(config, workdir, index)
    run = MlflowRun(mlflow, workdir, name=_name_run(workdir), params=params, tags=tags)
    run.write_rows(read_jsonl(workdir / "metrics.jsonl"))
    writer.mlflow = run
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, Stopped | KeyboardInterrupt)
        try:
            run.end("KILLED" if stopped else "FAILED")
        except RunError as lost:
            say(f"warning: {lost}")
        raise
    found = [file for pattern in FILES for file in sorted(workdir.glob(pattern))]
    run.end("FINISHED", {file.relative_to(workdir).as_posix(): file for file in found})


def list_params(config: ConfigDict) -> dict[str, Any]:
    """Returns the values of a config by key, without the options of models and losses not used."""
    used = {config.model.name, config.model.discriminator, config.loss.name}
    others = {f"model.{name}." for name in MODELS if name not in used}
    terms = () if is_generator(config) else schema.GENERATOR_LOSS
    others |= {f"loss.{name}." for name in (*LOSSES, *terms) if name not in used}
    return {key: x for key, x in leaves(config).items() if not key.startswith((*others,))}


def list_tags(config: ConfigDict, workdir: Path, index: pd.DataFrame) -> dict[str, str]:
    """Returns the tags of a run: its config, data, versions and git revision."""
    versions = workdirs.versions()
    git = versions.pop("git")
    tags = {"dfjax.config": config.name, "dfjax.workdir": str(workdir.absolute())}
    tags["dfjax.data"] = ", ".join(sorted(set(index["dataset"])))  # "synthetic" is that of `synth`
    tags |= {f"version.{name}": version for name, version in versions.items()}
    tags |= {"mlflow.source.name": "dfjax train", "mlflow.source.type": "LOCAL"}
    return tags | ({"mlflow.source.git.commit": git} if git else {})


def _name_run(workdir: Path) -> str:
    """Returns the name of a workdir, in that of its run if it is of a phase or a fold."""
    folder = workdir.absolute()
    above = folder.parent
    return f"{above.name}/{folder.name}" if folder.name.startswith("phase") else folder.name
