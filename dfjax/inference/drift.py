"""Compares two sets of inputs: `dfjax drift`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from rich.console import RenderableType
from rich.table import Table

from dfjax.console import track
from dfjax.data.faces.images import Frame
from dfjax.data.faces.input_measures import measure_clips, measure_file, measure_index
from dfjax.data.faces.video import probe, read_frames
from dfjax.data.faces.worker_pool import check_limits, run_tasks
from dfjax.data.index.records import find_index, read_index
from dfjax.errors import FileError, UsageError
from dfjax.evaluation.calibration.calibration_file import CALIBRATION, read_calibration
from dfjax.evaluation.drift.distances import Distance, compare_properties, describe_power
from dfjax.evaluation.tables.predictions import read_predictions
from dfjax.evaluation.videos.aggregation import aggregate, clean
from dfjax.inference.media import find_inputs
from dfjax.parquet_files import read_parquet
from dfjax.results import Result

AnyPath = str | os.PathLike[str]
Properties = dict[str, Float[np.ndarray, "_"]]

SCORE = "fake_prob"
TIME_LIMIT = 600.0  # seconds per file
FRAMES = 4
"""Frames of a file whose sharpness is computed, spread evenly."""


@dataclass(frozen=True)
class DriftReport(Result):
    """The differences between two sets of inputs.

    Attributes:
        sources: The two sets.
        found: Difference of every property that both have.
        counts: Number of inputs of each.
        unreadable: Lines about files that could not be read.
    """

    sources: tuple[str, str]
    found: dict[str, Distance]
    counts: tuple[int, int]
    unreadable: list[str]

    @property
    def has_findings(self) -> bool:
        """Whether a property drifts, or a file could not be read."""
        return bool(self.unreadable) or any(one.drifted for one in self.found.values())

    def list_errors(self) -> list[str]:
        """Returns a line for each file that could not be read."""
        return self.unreadable

    def list_notes(self) -> list[str]:
        """Returns which drifts could have been seen."""
        return [describe_power(self.found, self.counts[1])]

    def describe(self) -> Sequence[RenderableType]:
        """Returns a table of the properties, and a line that says whether there is a drift."""
        table = Table(box=None, pad_edge=False)
        columns = ("property", "n A", "n B", "median A", "median B", "PSI", "KS", "p (Holm)", "")
        for name in columns:
            table.add_column(name, justify="left" if name in ("property", "") else "right")
        for name, one in self.found.items():
            numbers = (f"{one.median[0]:.4g}", f"{one.median[1]:.4g}", f"{one.psi:.3f}")
            last = (f"{one.ks:.3f}", f"{one.p:.2g}", "drift" if one.drifted else "")
            table.add_row(name, str(one.n[0]), str(one.n[1]), *numbers, *last)
        drifted = [name for name, one in self.found.items() if one.drifted]
        said = f"drift of {', '.join(drifted)}" if drifted else "no drift is seen"
        return [table, f"{self.sources[0]} and {self.sources[1]}: {said}"]

    def to_json(self) -> dict[str, Any]:
        """Returns the differences by property."""
        return {
            "a": self.sources[0],
            "b": self.sources[1],
            "drift": any(one.drifted for one in self.found.values()),
            "properties": {name: one._asdict() for name, one in self.found.items()},
            "power": self.list_notes()[0],
            "unreadable": self.unreadable,
        }


def compare_inputs(
    a: AnyPath, b: AnyPath, *, split: str | None = None, workers: int | None = None
) -> DriftReport:
    """Returns the differences between two sets of inputs.

    Args:
        a: The reference: predictions, an index or pack, a workdir with a calibration, or a folder
            or file of videos and images.
        b: The set that is compared with it.
        split: Split of predictions and of an index; None for all rows.
        workers: Number of processes that read files; None for the number of cores.

    Raises:
        UsageError: A source cannot be read, or the two have no property in common.
    """
    workers = check_limits(workers, TIME_LIMIT)
    errors: list[str] = []
    first, second = (_measure(Path(one), split, workers, errors) for one in (a, b))
    found = compare_properties(first, second)
    if not found:
        raise UsageError(
            f"{a} has {', '.join(first) or 'no property'} and {b} has "
            f"{', '.join(second) or 'no property'}: there is nothing to compare"
        )
    counts = tuple(max((len(v) for v in one.values()), default=0) for one in (first, second))
    return DriftReport((str(a), str(b)), found, (counts[0], counts[1]), errors)


def _measure(path: Path, split: str | None, workers: int, errors: list[str]) -> Properties:
    """Returns the known properties of a source, one value per video."""
    if (path / CALIBRATION).is_file() or path.name == CALIBRATION:
        calibration = read_calibration(path / CALIBRATION if path.is_dir() else path)
        return _keep_known({SCORE: calibration.fake_prob, **calibration.inputs})
    index = _find_table(path)
    if index is not None:
        if not _is_index(index):
            return _measure_predictions(index, split)
        return _measure_rows(_take_split(read_index(index), split, path))
    return _measure_media(path, workers, errors)


def _find_table(path: Path) -> Path | None:
    """Returns the file of an index or of predictions, or None for media."""
    if path.is_file():
        return path if path.suffix.lower() in (".parquet", ".csv", ".tsv", ".json") else None
    found = find_index(path)
    return found if found.is_file() else None


def _is_index(path: Path) -> bool:
    """Returns whether a table has the columns of an index and no scores."""
    if path.suffix.lower() != ".parquet":
        return False
    columns = set(read_parquet(path).column_names)
    return {"video_id", "sha256", "boxes"} <= columns and SCORE not in columns


def _take_split(table: pd.DataFrame, split: str | None, path: Path) -> pd.DataFrame:
    rows = table if split in (None, "all") else table[table["split"] == split]
    if not len(rows):
        raise UsageError(f"{path} has no video of split {split!r}")
    return rows


def _measure_predictions(path: Path, split: str | None) -> Properties:
    rows = _take_split(read_predictions([path]).predictions, split, path)
    return {SCORE: aggregate(clean(rows))["fake_prob"].to_numpy(np.float64)}


def _measure_rows(index: pd.DataFrame) -> Properties:
    table = measure_index(index)
    quality = [
        np.nan if values is None or not np.size(values) else float(np.mean(values))
        for values in index["quality"]
    ]
    columns = {name: table[name].to_numpy(np.float64) for name in table}
    return _keep_known({"sharpness": np.array(quality, np.float64), **columns})


def _measure_media(path: Path, workers: int, errors: list[str]) -> Properties:
    files = [str(file) for file in find_inputs([path])]
    outcomes = run_tasks(measure_media_file, files, workers=workers, time_limit=TIME_LIMIT)
    rows = []
    for outcome in track(outcomes, total=len(files), what="reading"):
        if outcome.error is None:
            rows.append(outcome.value)
        else:
            errors.append(f"{files[outcome.position]}: {outcome.error}")
    if not rows:
        raise FileError(f"none of the {len(files)} files of {path} can be read: {errors[0]}")
    names = dict.fromkeys(name for row in rows for name in row)
    return _keep_known({name: np.array([row[name] for row in rows]) for name in names})


def measure_media_file(path: str) -> dict[str, float]:
    """Returns the properties of a file without searching for faces.

    `frame_sharpness` is that of whole frames, which differs from that of face crops.

    Raises:
        InputError: The file cannot be read.
    """
    info = probe(path)
    chosen = np.unique(np.linspace(0, info.n_frames - 1, FRAMES).astype(int))
    frames: list[Frame] = read_frames(path, chosen.tolist())
    sharpness = [
        float(measure_clips(frame[None, None], np.ones((1, 1), bool))[0]) for frame in frames
    ]
    measured = measure_file(info, np.empty((0, 4)))
    return {**measured, "frame_sharpness": math.fsum(sharpness) / len(sharpness)}


def _keep_known(properties: Properties) -> Properties:
    return {name: values for name, values in properties.items() if np.isfinite(values).any()}
