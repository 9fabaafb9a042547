"""The folder of a run: its config, the versions of packages, and its lock."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dfjax import config as configs
from dfjax import processes
from dfjax.errors import RunError, UsageError, is_full_disk
from dfjax.files import atomic_path, open_lock
from dfjax.json_files import read_json
from dfjax.outputs import check_links, check_outputs

PACKAGES = ("dfjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")

# Keys that may change between two calls on the same workdir, since results do not depend on them,
# but for the order of sums over another number of devices.
FREE_KEYS = (
    "data.path", "data.features", "data.workers", "data.threads", "data.prefetch", "profile",
    "train.log_every", "train.freeze_random", "checkpoint.every_steps", "checkpoint.keep",
    "eval.batch_size", "eval.min_face_share", "writers.tensorboard", "writers.mlflow",
    "mesh.data", "mesh.fsdp", "mesh.tensor",
)  # fmt: skip


RUN_FILES = (
    "config.yaml",
    "metrics.jsonl",
    "history.csv",
    "curves.png",
    "audit.json",
    "audit.html",
    "mlflow.json",
)
"""Files of a run that must be ours where there is no `config.json`."""


def check(workdir: Path, config: ConfigDict) -> None:
    """Checks that a workdir, if it exists, belongs to this config.

    The crop recipe, which is taken from the data, is compared where both configs have it.

    Raises:
        UsageError: It belongs to another config; the message shows the differences.
    """
    if not (workdir / "config.json").exists():
        check_outputs(workdir / name for name in RUN_FILES)
        return
    saved = load(workdir)
    free = {*FREE_KEYS} | ({"data.crop_size"} if not config.data.crop_size else set())
    if None in (saved.crops.detector, config.crops.detector):
        free |= {f"crops.{key}" for key in config.crops}
    lines = configs.differences(saved, config)
    changed = [line for line in lines if line.split(":")[0] not in free]
    if changed:
        raise UsageError(
            f"{workdir} was trained with another config. Changed: {'; '.join(changed)}. "
            "Use a new workdir, or the original config and data"
        )


def prepare_workdir(workdir: Path, config: ConfigDict) -> None:
    """Writes `config.json`, `config.yaml` and `versions.json`.

    A crop recipe that the workdir records is kept where that of the data is not known.

    Raises:
        UsageError: The workdir belongs to another config.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    check(workdir, config)
    if config.crops.detector is None and (workdir / "config.json").exists():
        config = config.copy_and_resolve_references()
        config.crops.update(load(workdir).crops.to_dict())
    # `config.json` comes first, because it shows that the other files are of a run.
    _write(workdir / "config.json", configs.to_json(config) + "\n")
    _write(workdir / "config.yaml", configs.to_yaml(config))
    _write(workdir / "versions.json", json.dumps(versions(), indent=2) + "\n")


def load(workdir: Path) -> ConfigDict:
    """Returns the config of a workdir.

    Raises:
        UsageError: the folder has no readable `config.json`.
    """
    path = workdir / "config.json"
    if not path.exists():
        raise UsageError(f"{workdir} is not a workdir: it has no config.json")
    values = read_json(path, {str: object}, remedy="restore it, or train in a new workdir")
    return configs.from_dict(values, name=str(path))


def versions() -> dict[str, Any]:
    """Returns the versions of Python and of `PACKAGES`, and the git revision if there is one."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in PACKAGES:
        found[name] = importlib.metadata.version(name)
    found["git"] = _git_revision()
    return found


def _git_revision() -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def locked(workdir: Path) -> contextlib.AbstractContextManager[None]:
    """Locks the workdir, so that no other run can train in it; process 0 does so for its run.

    Raises:
        UsageError: Another run has locked it, it cannot be written, or a link in it leads out of
            it.
        RunError: The folder was removed while the block was running.
    """
    return processes.held_by_first(_locked(workdir))


@contextlib.contextmanager
def _locked(workdir: Path) -> Iterator[None]:
    path, is_new = workdir / ".lock", not workdir.exists()
    check_links(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open_lock(path)
    except OSError as error:
        if is_full_disk(error):
            raise
        raise UsageError(f"the workdir {workdir} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or not os.path.samestat(path.stat(), os.fstat(lock.fileno())):
                raise BlockingIOError  # the previous run has just removed it
        except BlockingIOError:
            raise UsageError(f"{workdir} is being trained by another process") from None
        try:
            yield
        except OSError as error:
            if workdir.is_dir():
                raise
            raise RunError(f"the workdir {workdir} was removed while it was in use") from error
        finally:
            path.unlink(missing_ok=True)
            if is_new and workdir.is_dir() and not any(workdir.iterdir()):
                workdir.rmdir()  # nothing was made, as the run was refused


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
