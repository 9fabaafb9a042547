"""Logs a training run to MLflow: what of its config, versions and files goes there."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from dfjax import processes, schema
from dfjax.config_overrides import leaves
from dfjax.console import say
from dfjax.errors import RunError, UsageError
from dfjax.experiment import run_data
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.generator_check import is_generator
from dfjax.experiment.phases import Phase
from dfjax.losses.registry import LOSSES
from dfjax.models.registry import MODELS
from dfjax.object_stores import as_url, is_url
from dfjax.training.interrupt import Stopped
from dfjax.training.metric_writer import MetricWriter, read_jsonl
from dfjax.training.mlflow_connection import Mlflow, connect
from dfjax.training.mlflow_run import MlflowRun, is_finished

FILES = (
    *("config.yaml", "versions.json", "history.csv", "curves.png", "audit.json", "audit.html"),
    *("report.html", "eval/*/metrics.json"),
)
"""Files of a workdir that are uploaded at the end, as far as they are there."""


def connect_first(config: ConfigDict, *, required: bool = True) -> Mlflow | None:
    """Returns a connection to MLflow in process 0 if the config asks for it, or None.

    Args:
        config: Config of the run; its key `writers.mlflow` asks for it.
        required: Whether it is an error that the server cannot be used. Otherwise it is a warning,
            and there is no connection.

    Raises:
        UsageError: MLflow is not installed, or its server cannot be used.
    """
    with processes.first_alone():
        try:
            return connect() if config.writers.mlflow and processes.is_first() else None
        except UsageError as error:
            if required:
                raise
            say(f"warning: {error}")
            return None


class RunLog:
    """Logs a training to MLflow, phase after phase.

    A server that cannot be used ends the training before it begins. One that is lost later does
    not: `finish` logs what it lacks, as far as it is there again, and says what is missing.

    Args:
        mlflow: Connection; without one nothing is logged.
        folder: Folder of the run.
        place: Path or URL that was given for the run, of which `folder` may be a copy.
        required: Whether a server that cannot be used ends the training, and what it lacks at the
            end is an error. Otherwise both are warnings.
    """

    def __init__(
        self, mlflow: Mlflow | None, folder: Path, place: str | Path, *, required: bool = True
    ) -> None:
        self.mlflow, self.folder, self.place, self.required = mlflow, folder, place, required
        self.begun = not required
        self.missing = ""  # the error of the last phase, where not all of it is logged

    @contextlib.contextmanager
    def logged(
        self, config: ConfigDict, workdir: Path, index: pd.DataFrame, writer: MetricWriter
    ) -> Iterator[None]:
        """Logs the phase that is trained in the block, and how it ended.

        Args:
            config: Config of the phase.
            workdir: Folder of the phase.
            index: Index of its data.
            writer: Writer of the metrics in the block, which then writes to MLflow too.

        Raises:
            UsageError: The server does not have the run of this workdir, or cannot be used, and
                nothing was logged to it yet.
        """
        if self.mlflow is None:
            yield
            return
        run = writer.mlflow = self._begin(config, workdir, index)
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, Stopped | KeyboardInterrupt)
            try:
                if run:
                    run.end("KILLED" if stopped else "FAILED")
            except RunError as lost:
                say(f"warning: {lost}")
            raise
        self._end(config, workdir, index, run)

    def finish(self, phases: Sequence[Phase]) -> None:
        """Logs what MLflow lacks of earlier phases, if the last one could be logged.

        Args:
            phases: All phases, which are finished.

        Raises:
            RunError: The training is finished, but MLflow does not have all of it.
        """
        for config, workdir in phases[:-1] if self.mlflow else ():
            if not self.missing and not is_finished(workdir):
                self._end(config, workdir)
        if self.missing and self.required:
            raise RunError(self.missing)
        if self.missing:
            say(f"warning: {self.missing}")

    def _begin(self, config: ConfigDict, workdir: Path, index: pd.DataFrame) -> MlflowRun | None:
        """Returns the run in MLflow, or None, with a message, if the server was lost."""
        try:
            run = self._start(config, workdir, index)
        except UsageError as error:
            if not self.begun:
                raise
            say(f"warning: {error}")
            return None
        self.begun = True
        return run

    def _start(self, config: ConfigDict, workdir: Path, index: pd.DataFrame) -> MlflowRun:
        assert self.mlflow is not None
        place = self._locate(workdir)
        params, tags = list_params(config), list_tags(config, place, index)
        run = MlflowRun(self.mlflow, workdir, name=_name_run(place), params=params, tags=tags)
        run.write_rows(read_jsonl(workdir / "metrics.jsonl"))
        return run

    def _end(
        self,
        config: ConfigDict,
        workdir: Path,
        index: pd.DataFrame | None = None,
        run: MlflowRun | None = None,
    ) -> None:
        """Completes the run of a phase that is finished, and notes what is missing."""
        found = [file for pattern in FILES for file in sorted(workdir.glob(pattern))]
        files = {file.relative_to(workdir).as_posix(): file for file in found}
        try:
            if index is None:
                index = run_data.open_data(config, workdir).index
            run = run or self._start(config, workdir, index)
            run.end("FINISHED", files)
            self.missing = ""
        except RunError as error:
            self.missing = str(error)
        except UsageError as error:
            self.missing = f"{workdir} is saved, but not in MLflow; the same call logs it: {error}"

    def _locate(self, workdir: Path) -> str:
        """Returns the path or URL of the workdir of a phase."""
        if not is_url(self.place):
            return str(workdir.absolute())
        return "/".join([as_url(self.place), *workdir.relative_to(self.folder).parts])


def list_params(config: ConfigDict) -> dict[str, Any]:
    """Returns the values of a config by key, without the options of models and losses not used."""
    used = {config.model.name, config.model.discriminator, config.loss.name}
    others = {f"model.{name}." for name in MODELS if name not in used}
    terms = () if is_generator(config) else schema.GENERATOR_LOSS
    others |= {f"loss.{name}." for name in (*LOSSES, *terms) if name not in used}
    return {key: x for key, x in leaves(config).items() if not key.startswith((*others,))}


def list_tags(config: ConfigDict, place: str, index: pd.DataFrame) -> dict[str, str]:
    """Returns the tags of a run: its config, workdir, data, versions and git revision."""
    versions = workdirs.versions()
    git = versions.pop("git")
    tags = {"dfjax.config": config.name, "dfjax.workdir": place}
    tags["dfjax.data"] = ", ".join(sorted(set(index["dataset"])))  # "synthetic" is that of `synth`
    tags |= {f"version.{name}": version for name, version in versions.items()}
    tags |= {"mlflow.source.name": "dfjax train", "mlflow.source.type": "LOCAL"}
    return tags | ({"mlflow.source.git.commit": git} if git else {})


def _name_run(place: str) -> str:
    """Returns the name of a workdir, in that of its run if it is of a phase."""
    above, name = ["", *place.split("/")][-2:]
    return f"{above}/{name}" if name.startswith("phase") else name
