"""Stands in for MLflow and its server, with the server's rules; no package of it is needed."""

import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

NAME = re.compile(r"[\w./: -]{1,250}")


class MlflowException(Exception):
    def __init__(self, message, error_code="INTERNAL_ERROR"):
        super().__init__(message)
        self.error_code = error_code


@dataclass(frozen=True)
class Metric:
    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Param:
    key: str
    value: str


RunTag = Param


class Server:
    """Runs, models and what they have; `down` makes every request fail."""

    def __init__(self, monkeypatch, uri="sqlite:///runs.db"):
        self.runs, self.models, self.experiments, self.down = {}, {}, {}, False
        mlflow, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")
        mlflow.MlflowClient = lambda uri: Client(self)
        mlflow.get_tracking_uri = lambda: uri
        mlflow.exceptions = SimpleNamespace(MlflowException=MlflowException)
        entities.Metric, entities.Param, entities.RunTag = Metric, Param, RunTag
        monkeypatch.setitem(sys.modules, "mlflow", mlflow)
        monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # which connecting would set
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)


class Client:
    def __init__(self, server):
        self.server = server

    def __getattribute__(self, name):
        if not name.startswith("_") and name != "server" and self.server.down:
            raise MlflowException("connection to http://user:secret@host refused\nand more")
        return object.__getattribute__(self, name)

    def get_experiment_by_name(self, name):
        found = self.server.experiments.get(name)
        return found and SimpleNamespace(experiment_id=found)

    def create_experiment(self, name):
        if name in self.server.experiments:
            raise MlflowException("it exists", "RESOURCE_ALREADY_EXISTS")
        return self.server.experiments.setdefault(name, str(len(self.server.experiments) + 1))

    def create_run(self, experiment_id, run_name):
        assert experiment_id in self.server.experiments.values()
        run_id = f"{len(self.server.runs):032x}"
        info = SimpleNamespace(run_id=run_id, lifecycle_stage="active", status="RUNNING")
        info.artifact_uri = f"store/{run_id}"
        run = SimpleNamespace(info=info, name=run_name, params={}, tags={}, metrics=[], files={})
        self.server.runs[run_id] = run
        return run

    def get_run(self, run_id):
        if run_id not in self.server.runs:
            raise MlflowException(f"Run with id={run_id} not found", "RESOURCE_DOES_NOT_EXIST")
        run = self.server.runs[run_id]
        latest = {m.key: m.value for m in sorted(run.metrics, key=lambda metric: metric.step)}
        run.data = SimpleNamespace(params=dict(run.params), tags=run.tags, metrics=latest)
        return run

    def get_metric_history(self, run_id, key):
        return [metric for metric in self.server.runs[run_id].metrics if metric.key == key]

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        run = self.server.runs[run_id]
        assert len(metrics) <= 1000 and len(params) <= 100 and len(tags) <= 100
        assert all(NAME.fullmatch(item.key) for item in (*metrics, *params, *tags))
        assert all(isinstance(item.value, str) for item in (*params, *tags))
        for param in params:
            assert run.params.setdefault(param.key, param.value) == param.value, "is immutable"
        run.metrics += metrics
        run.tags |= {tag.key: tag.value for tag in tags}

    def update_run(self, run_id, status):
        self.server.runs[run_id].info.status = status

    def set_terminated(self, run_id, status="FINISHED"):
        self.server.runs[run_id].info.status = status

    def log_artifact(self, run_id, path, folder=None):
        name = f"{folder}/{Path(path).name}" if folder else Path(path).name
        self.server.runs[run_id].files[name] = Path(path).read_bytes()

    def create_registered_model(self, name):
        if name in self.server.models:
            raise MlflowException("it exists", "RESOURCE_ALREADY_EXISTS")
        self.server.models[name] = []

    def create_model_version(self, name, source, run_id, tags):
        versions = self.server.models[name]
        versions.append(SimpleNamespace(source=source, run_id=run_id, tags=tags))
        return SimpleNamespace(version=len(versions))
