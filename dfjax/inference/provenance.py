"""Finds every run whose training data influenced a detector, and the videos in them.

Parameters may come from earlier phases, from the run that `train.init_from` names, and from the run
that trained the backbone of stored features. A leak from any of them is a leak of the detector. The
data behind a weights file (`init.*`) are unknown, and a message says so.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from ml_collections import ConfigDict

from dfjax.console import say
from dfjax.data.index.records import find_index
from dfjax.data.store.feature_pack import RECORD, read_record
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.experiment import run_data
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.data_audit import read_report
from dfjax.experiment.frozen_backbone import TRAINED_IN
from dfjax.files import hash_file
from dfjax.inference.evaluation_data import open_run_data


class TracedRun(NamedTuple):
    """A training run: its workdir and its config."""

    workdir: Path
    config: ConfigDict


def trace_runs(workdir: Path, config: ConfigDict) -> list[TracedRun]:
    """Returns a run, followed by all runs that its initial parameters come from.

    A message on standard error names those whose workdir cannot be read.

    Args:
        workdir: Workdir of the run.
        config: Config of the run.
    """
    runs, waiting = list[TracedRun](), [TracedRun(workdir, config)]
    while waiting:
        run = waiting.pop()
        if run.workdir.resolve() in {known.workdir.resolve() for known in runs}:
            continue
        runs.append(run)
        for origin in _find_origins(run):
            try:
                waiting.append(TracedRun(origin, workdirs.load(origin)))
            except UsageError as error:
                _note_unchecked(origin, error)
    return runs


def _find_origins(run: TracedRun) -> Iterator[Path]:
    for path in filter(None, run.config.init.values()):
        say(f"dfjax: leaks from the data that {path} was trained on are not checked")
    init_from = run.config.train.init_from
    if init_from.endswith(".safetensors"):
        say(f"dfjax: leaks from the data that {init_from} was trained on are not checked")
    elif init_from:
        yield Path(init_from.replace("{workdir}", str(run.workdir)))
    if (run.workdir / RECORD).is_file():
        trained_in = read_record(run.workdir).get(TRAINED_IN)
        if trained_in:
            yield Path(trained_in)


def find_data_sha256(workdir: Path) -> str:
    """Returns the SHA-256 of the index of a run's data, by their audit; empty without one."""
    audit = read_report(workdir) if (workdir / "checkpoints").is_dir() else None
    return audit["index_sha256"] if audit else ""


def is_trained_on(data_sha256: str, config: ConfigDict, data: FrameStore) -> bool:
    """Returns whether a detector of a file was trained on these data, with their splits.

    Args:
        data_sha256: SHA-256 of the index of its data, from the header of its file, or empty.
        config: Config that it was trained with.
        data: Data that it is evaluated on.
    """
    index = find_index(data.path)
    known = bool(data_sha256) and not config.data.fold and index.is_file()
    return known and hash_file(index) == data_sha256


def open_data(run: TracedRun, data_sha256: str = "") -> FrameStore | None:
    """Returns the data of a run; None, with a message on standard error, if they are missing.

    Args:
        run: Run, or detector of a file.
        data_sha256: SHA-256 of the index of its data, from the header of its file, or empty.
    """
    try:
        return open_run_data(
            run.config, run.workdir, data_sha256, remedy="its workdir knows the folder"
        )
    except UsageError as error:
        _note_unchecked(run.workdir, error)
        return None


def find_train_index(
    members: Sequence[TracedRun], training: FrameStore | None
) -> pd.DataFrame | None:
    """Returns the index rows of all training videos of the members, without repetitions.

    These include the training videos of the runs that the parameters of the members come from.
    The result is None if all data are missing.

    Args:
        members: Runs of the members of an ensemble, or of a single detector.
        training: Data of the first member; None if they are missing.
    """
    found: list[pd.DataFrame] = []
    for member in members:
        for run in trace_runs(*member):
            data = training if run.workdir == members[0].workdir else open_data(run)
            if data is not None:
                found.append(data.index.iloc[run_data.split_rows(data, run.config, "train")])
    return pd.concat(found).drop_duplicates("video_id") if found else None


def list_held_back(
    members: Sequence[TracedRun], train_index: pd.DataFrame | None
) -> tuple[str, ...]:
    """Returns the methods that every member's config holds back and no member was trained on.

    Args:
        members: Runs of the members, as for `find_train_index`.
        train_index: Result of `find_train_index`.
    """
    held = set.intersection(*(set(member.config.data.holdout_methods) for member in members))
    seen = set() if train_index is None else set(train_index["method"])
    return tuple(sorted(held - seen))


def _note_unchecked(workdir: Path, error: UsageError) -> None:
    say(f"dfjax: leaks from the training data of {workdir} are not checked: {error}")
