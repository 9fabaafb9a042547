"""The runs that a detector's parameters come from: what one of them saw, the detector has seen."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from ml_collections import ConfigDict

from dfjax.data.store.feature_pack import RECORD, read_record
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.experiment import run_data
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.frozen_backbone import TRAINED_IN


class Run(NamedTuple):
    """A run of training: its workdir, and the config in it."""

    workdir: Path
    config: ConfigDict


def trace_runs(workdir: Path, config: ConfigDict) -> list[Run]:
    """Returns a run, and after it all those that its parameters started from.

    These are the runs of `train.init_from`, earlier phases among them, and the one that trained the
    backbone of stored features. Standard error says which of them is gone.
    """
    runs, waiting = list[Run](), [Run(workdir, config)]
    while waiting:
        run = waiting.pop()
        if run.workdir.resolve() in {known.workdir.resolve() for known in runs}:
            continue
        runs.append(run)
        for origin in _find_origins(run):
            try:
                waiting.append(Run(origin, workdirs.load(origin)))
            except UsageError as error:
                _say_unchecked(origin, error)
    return runs


def _find_origins(run: Run) -> Iterator[Path]:
    init_from = run.config.train.init_from
    if init_from:
        yield Path(init_from.replace("{workdir}", str(run.workdir)))
    if (run.workdir / RECORD).is_file():
        trained_in = read_record(run.workdir).get(TRAINED_IN)
        if trained_in:
            yield Path(trained_in)


def open_data(run: Run) -> FrameStore | None:
    """Returns a run's own data; None, and a word on standard error, where they are gone."""
    try:
        return run_data.open_data(run.config, run.workdir)
    except UsageError as error:
        _say_unchecked(run.workdir, error)
        return None


def find_train_index(members: Sequence[Run], training: FrameStore | None) -> pd.DataFrame | None:
    """Returns the rows of the videos that the members saw in training, each once.

    Those are also the videos of the runs that they started from. None where all data are gone.

    Args:
        members: of an ensemble, or the only one.
        training: the first one's data.
    """
    found: list[pd.DataFrame] = []
    for member in members:
        for run in trace_runs(*member):
            data = training if run.workdir == members[0].workdir else open_data(run)
            if data is not None:
                found.append(data.index.iloc[run_data.split_rows(data, run.config, "train")])
    return pd.concat(found).drop_duplicates("video_id") if found else None


def list_held_back(members: Sequence[Run], train_index: pd.DataFrame | None) -> tuple[str, ...]:
    """Returns the manipulations that every member leaves out, and that none saw elsewhere.

    Args:
        members: as in `find_train_index`.
        train_index: what that returns.
    """
    held = set.intersection(*(set(member.config.data.holdout_methods) for member in members))
    seen = set() if train_index is None else set(train_index["method"])
    return tuple(sorted(held - seen))


def _say_unchecked(workdir: Path, error: UsageError) -> None:
    print(f"dfjax: leaks from training of {workdir} are not checked: {error}", file=sys.stderr)
