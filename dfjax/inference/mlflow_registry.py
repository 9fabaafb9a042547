"""Registers exported files as versions of a model in MLflow's registry."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dfjax
from dfjax.errors import RunError, UsageError
from dfjax.files import hash_file
from dfjax.inference.exported import Exported
from dfjax.training.mlflow_connection import Mlflow, connect, explain, is_known
from dfjax.training.mlflow_run import find_run
from dfjax.weights.hub import FILES

FOLDER = "exports"
"""Folder of the artefacts of a run that holds a folder for each registered export."""


def open_registry(name: str) -> Mlflow:
    """Returns a connection to the registry for a model of this name.

    Raises:
        UsageError: MLflow does not take the name, is not installed, or cannot be used.
    """
    if not name.strip() or set(name) & set("/:"):
        raise UsageError(f"register={name!r}: the name of a model has no / and no :")
    return connect()


def register_files(
    mlflow: Mlflow, name: str, workdir: Path, exported: Exported, outputs: Sequence[Path]
) -> Exported:
    """Registers an export as the next version of a model, and returns it with the address of that.

    The files are uploaded to the run of the workdir, or to a new run where it has none. Those of a
    version are in a folder with the hash of all of them, so that no export changes another, with
    their paths in the folder of the export.

    Args:
        mlflow: Connection.
        name: Name of the model, which is made if it does not exist.
        workdir: Folder of the detector.
        exported: The export.
        outputs: Its files, or its folder and files in it.

    Raises:
        UsageError: The server does not have the run of the workdir.
        RunError: The server cannot be written.
    """
    client, first = mlflow.client, outputs[0]
    files = [first / name for name in FILES] if first.is_dir() else [*outputs]
    top = exported.out if exported.out.is_dir() else exported.out.parent
    names = [file.relative_to(top).as_posix() for file in files]
    hashes = [hash_file(file) for file in files]
    tags = {"format": exported.format, "checkpoint": exported.checkpoint, "sha256": hashes[0]}
    tags |= {"kernels": exported.kernels, "dfjax": dfjax.__version__}
    known = find_run(mlflow, workdir)
    try:
        run = client.get_run(known) if known else _make_run(mlflow, workdir)
        folder = f"{FOLDER}/{_hash(dict(zip(names, hashes)))[:12]}"
        for path, file in zip(names, files):
            client.log_artifact(run.info.run_id, str(file), f"{folder}/{path}".rpartition("/")[0])
        _make_model(mlflow, name)
        source = f"{run.info.artifact_uri}/{folder}"
        made = client.create_model_version(name, source, run.info.run_id, tags=tags)
    except mlflow.errors as error:
        raise RunError(
            f"{exported.out} is written, but MLflow at {mlflow.server} did not register it as "
            f"{name} ({explain(error)})"
        ) from error
    return dataclasses.replace(exported, registered=f"models:/{name}/{made.version}")


def _hash(files: Mapping[str, str]) -> str:
    """Returns the SHA-256 of the names and hashes of files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _make_run(mlflow: Mlflow, workdir: Path) -> Any:
    """Makes a run for a detector that was trained without MLflow."""
    run = mlflow.client.create_run(mlflow.experiment_id, run_name=workdir.name)
    mlflow.client.set_terminated(run.info.run_id)
    return run


def _make_model(mlflow: Mlflow, name: str) -> None:
    """Makes a registered model unless it exists."""
    try:
        mlflow.client.create_registered_model(name)
    except mlflow.errors as error:
        if not is_known(error):
            raise
