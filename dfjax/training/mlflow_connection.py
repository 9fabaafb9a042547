"""A connection to an MLflow server.

The server is that of MLflow's own variable `MLFLOW_TRACKING_URI`, for example `sqlite:///runs.db`
or `https://mlflow.example.org`, and the experiment that of `MLFLOW_EXPERIMENT_NAME` (`dfjax`).
"""

import importlib
import os
from typing import Any, NamedTuple

from dfjax.errors import UsageError, first_line
from dfjax.training.addresses import hide_password

EXTRA = "pip install 'dfjax[mlflow]'"
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Defaults of MLflow's limits, by which a server that does not answer is not awaited for long."""


class Mlflow(NamedTuple):
    """A connection to an MLflow server.

    Attributes:
        client: MLflow's client.
        entities: Its module with `Metric`, `Param` and `RunTag`.
        errors: What its methods raise.
        server: Address of the server, without a password.
        experiment: Name of the experiment.
        experiment_id: Its id.
    """

    client: Any
    entities: Any
    errors: tuple[type[Exception], ...]
    server: str
    experiment: str
    experiment_id: str


def connect() -> Mlflow:
    """Returns a connection to the server, whose experiment is made if it does not exist.

    Raises:
        UsageError: MLflow is not installed, or the server cannot be used.
    """
    try:
        mlflow = importlib.import_module("mlflow")
        entities = importlib.import_module("mlflow.entities")
    except ImportError as error:
        raise UsageError(f"MLflow is not installed: {EXTRA}") from error
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    uri = mlflow.get_tracking_uri()
    server, errors = hide_password(uri), _list_errors(mlflow)
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "dfjax"
    try:
        client = mlflow.MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        made = found.experiment_id if found else _make_experiment(client, experiment, errors)
    except errors as error:
        raise UsageError(
            f"MLflow at {server} cannot be used ({explain(error)}); MLFLOW_TRACKING_URI names it"
        ) from error
    return Mlflow(client, entities, errors, server, experiment, made)


def _make_experiment(client: Any, name: str, errors: tuple[type[Exception], ...]) -> str:
    """Makes an experiment, unless another run makes it at the same time, and returns its id."""
    try:
        made: str = client.create_experiment(name)
    except errors as error:
        if not is_known(error):
            raise
        made = client.get_experiment_by_name(name).experiment_id
    return made


def is_known(error: Exception) -> bool:
    """Returns whether an error says that what is to be made exists."""
    return getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS"


def _list_errors(mlflow: Any) -> tuple[type[Exception], ...]:
    """Returns the errors of MLflow, of its connections, and of its databases if it has them."""
    errors = (mlflow.exceptions.MlflowException, OSError, ImportError, ValueError)
    try:
        return (*errors, importlib.import_module("sqlalchemy.exc").SQLAlchemyError)
    except ImportError:
        return errors


def explain(error: Exception) -> str:
    """Returns the first line of an error of MLflow, without a password."""
    return hide_password(first_line(error))[:300]
