"""A run in MLflow: parameters, metrics by step, tags and files.

The `server` in a workdir's `mlflow.json` is for information and is not contacted.

MLflow only appends. A run that is continued therefore asks once up to which step each metric is
there, and logs later steps only. `metrics.jsonl` stays the complete record: rows of it that MLflow
lacks are logged when the run is continued.
"""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfjax.console import say
from dfjax.errors import RunError, UsageError
from dfjax.files import write_json
from dfjax.json_files import read_json
from dfjax.training.mlflow_connection import Mlflow, explain

RECORD = "mlflow.json"
"""File of a workdir that has the id of its run."""

SCHEMA = {"run_id": str, "server": str, "experiment": str, "finished?": bool}
RUN_ID = re.compile(r"[\w-]{1,64}")

MOST_METRICS, MOST_PARAMS = 1000, 100  # of a request, by the limits of MLflow
PAUSE, LONGEST_PAUSE = 60.0, 3600.0  # seconds before a lost server is tried again


def find_run(mlflow: Mlflow, workdir: Path) -> str | None:
    """Returns the id of the run of a workdir, or None if it has none yet.

    Args:
        mlflow: Connection.
        workdir: Folder of the run.

    Raises:
        UsageError: The server does not have the run.
        FileError: The file with its id is damaged.
    """
    path = workdir / RECORD
    if not path.exists():
        return None
    remedy = _name_remedy(path)
    run_id = read_json(path, SCHEMA, remedy=remedy)["run_id"]
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(f"{path} names no run of MLflow; {remedy}")
    try:
        info = mlflow.client.get_run(run_id).info
    except mlflow.errors as error:
        raise UsageError(
            f"MLflow at {mlflow.server} does not give the run {run_id} of {workdir} "
            f"({explain(error)}); {remedy}, or set MLFLOW_TRACKING_URI to its server"
        ) from error
    if info.lifecycle_stage == "deleted":
        raise UsageError(f"the run {run_id} of {workdir} was deleted in MLflow; {remedy}")
    return run_id


def is_finished(workdir: Path) -> bool:
    """Returns whether MLflow has all of the run of a workdir, which is finished.

    Raises:
        FileError: The file with its id is damaged.
    """
    path = workdir / RECORD
    if not path.exists():
        return False
    return read_json(path, SCHEMA, remedy=_name_remedy(path)).get("finished", False)


def _name_remedy(path: Path) -> str:
    return f"remove {path} to log to a new run"


class MlflowRun:
    """Logs the run of a workdir.

    While the server cannot be reached, rows are kept, and sent when it is there again: training
    does not stop for it.

    Args:
        mlflow: Connection.
        workdir: Folder of the run, whose id is in its `mlflow.json`.
        name: Name of a new run.
        params: Parameters; those that the run has already stay as they are.
        tags: Tags.

    Raises:
        UsageError: The server does not have the run, or does not make one.
        FileError: `mlflow.json` is damaged.
    """

    def __init__(
        self,
        mlflow: Mlflow,
        workdir: Path,
        *,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> None:
        self.mlflow, self.workdir = mlflow, workdir
        self.queue: list[Any] = []
        self.pause, self.retry_at = PAUSE, 0.0
        known = find_run(mlflow, workdir)
        try:
            self.run_id = known or _make_run(mlflow, name)
            _write_record(mlflow, workdir, self.run_id, finished=False)
            self.logged = self._find_steps() if known else {}
            self._describe(params, tags)
        except mlflow.errors as error:
            raise UsageError(
                f"MLflow at {mlflow.server} cannot be written: {explain(error)}"
            ) from error
        verb = "continues" if known else "is"
        say(f"MLflow: the run {verb} {self.run_id} of {mlflow.experiment} at {mlflow.server}")

    def _find_steps(self) -> dict[str, int]:
        """Returns the last step of each metric that the run has."""
        client = self.mlflow.client
        return {
            key: max(metric.step for metric in client.get_metric_history(self.run_id, key))
            for key in client.get_run(self.run_id).data.metrics
        }

    def _describe(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        client, entities = self.mlflow.client, self.mlflow.entities
        known = client.get_run(self.run_id).data.params  # which cannot be changed
        new = [entities.Param(key, str(x)) for key, x in params.items() if key not in known]
        for part in _split(new, MOST_PARAMS):
            client.log_batch(self.run_id, params=part)
        labels = [entities.RunTag(key, value) for key, value in tags.items()]
        client.log_batch(self.run_id, tags=labels)
        client.update_run(self.run_id, status="RUNNING")

    def write_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Logs the rows of `metrics.jsonl` that the run lacks."""
        for row in rows:
            values = {k: x for k, x in row.items() if k not in ("step", "epoch", "split")}
            self._add(row.get("split", ""), row["step"], values)
        self._send()

    def write(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Logs the values of a step that are finite numbers, unless the run has them."""
        self._add(split, step, values)
        self._send()

    def _add(self, split: str, step: int, values: Mapping[str, float | None]) -> None:
        now = int(1000 * time.time())
        for name, value in values.items():
            key = f"{split}/{name}"
            if value is not None and step > self.logged.get(key, -1):
                self.queue.append(self.mlflow.entities.Metric(key, value, now, step))
                self.logged[key] = step

    def _send(self, *, now: bool = False) -> None:
        if not self.queue or (time.monotonic() < self.retry_at and not now):
            return
        try:
            while self.queue:
                part = self.queue[:MOST_METRICS]
                self.mlflow.client.log_batch(self.run_id, metrics=part)
                del self.queue[: len(part)]
        except self.mlflow.errors as error:
            self.retry_at, self.pause = time.monotonic() + self.pause, 2 * self.pause
            self.pause = min(self.pause, LONGEST_PAUSE)
            say(
                f"warning: MLflow at {self.mlflow.server} cannot be written ({explain(error)}); "
                f"{len(self.queue)} values are kept and sent later"
            )
        else:
            self.pause, self.retry_at = PAUSE, 0.0

    def end(self, status: str, files: Mapping[str, Path] | None = None) -> None:
        """Sends what is left, uploads files and sets the status of the run.

        Args:
            status: `FINISHED`, `FAILED` or `KILLED`.
            files: Files by their names in the run, which may have folders.

        Raises:
            RunError: The server cannot be written.
        """
        client = self.mlflow.client
        lost: tuple[type[Exception], ...] = (*self.mlflow.errors, RunError)
        try:
            self._send(now=True)
            if self.queue:
                raise RunError(f"{len(self.queue)} values are missing")
            for name, file in (files or {}).items():
                client.log_artifact(self.run_id, str(file), os.path.dirname(name) or None)
            client.set_terminated(self.run_id, status)
            finished = status == "FINISHED"
            _write_record(self.mlflow, self.workdir, self.run_id, finished=finished)
        except lost as error:
            raise RunError(
                f"the run is saved, but MLflow at {self.mlflow.server} does not have all of it "
                f"({explain(error)}); the same call logs the rest once it can be written"
            ) from error


def _make_run(mlflow: Mlflow, name: str) -> str:
    """Makes a run and returns its id."""
    run_id: str = mlflow.client.create_run(mlflow.experiment_id, run_name=name).info.run_id
    return run_id


def _write_record(mlflow: Mlflow, workdir: Path, run_id: str, *, finished: bool) -> None:
    """Writes the id of a run to its workdir, and whether MLflow has all of it."""
    record = {"run_id": run_id, "server": mlflow.server, "experiment": mlflow.experiment}
    write_json(workdir / RECORD, {**record, "finished": finished})


def _split(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
