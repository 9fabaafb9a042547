"""Recomputes a `metrics.json` from the files it was computed of, and names what differs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

import dfjax
from dfjax.data.index.records import find_index, read_index
from dfjax.errors import InputError, UsageError
from dfjax.evaluation.conventions.benchmark_protocol import Numbers
from dfjax.evaluation.metrics.named_metrics import Frozen
from dfjax.evaluation.report.code_hash import hash_code
from dfjax.evaluation.report.input_record import (
    INPUTS,
    PREDICTIONS,
    RECORD,
    hash_content,
    hash_path,
)
from dfjax.evaluation.report.metrics_json import Context, make_metrics
from dfjax.evaluation.tables.predictions import read_predictions
from dfjax.json_files import check_value, read_json
from dfjax.results import Result

TOLERANCE = 1e-9
"""Largest difference of a number, absolute or relative: versions of NumPy add in other orders."""
SHOWN = 12
"""Number of differences that a description lists."""
VARIABLES = "variables"  # the folder of a checkpoint that is hashed
NOT_COMPARED = ("generated", "flags", INPUTS)
"""Entries that depend on the time, or on the training run."""
OF_INDEX = ("frames_per_video", "by_identity")
"""Entries that need the index."""


class Difference(NamedTuple):
    """Something that differs from the record.

    Attributes:
        what: Name of the file, of the setting or of the number.
        recorded: What `metrics.json` says.
        found: What there is now.
    """

    what: str
    recorded: Any
    found: Any


@dataclass(frozen=True)
class Reproduction(Result):
    """The result of recomputing a `metrics.json`.

    Attributes:
        path: The file.
        differences: What differs; empty where all is as it was.
        files: Number of files that were compared.
        numbers: Number of values that were compared.
    """

    path: Path
    differences: list[Difference]
    files: int
    numbers: int

    @property
    def has_findings(self) -> bool:
        """Whether something differs."""
        return bool(self.differences)

    def describe(self) -> list[str]:
        """Returns a line for each of the first differences, and one that counts all."""
        lines = [
            f"{one.what}: {one.recorded} was recorded, now {one.found}"
            for one in self.differences[:SHOWN]
        ]
        count = len(self.differences)
        if count > SHOWN:
            lines.append(f"and {count - SHOWN} more")
        said = f"{count} differ" if count > 1 else "1 differs" if count else "nothing differs"
        return [*lines, f"{self.files} files, {self.numbers} values compared: {said}"]

    def to_json(self) -> dict[str, Any]:
        """Returns all differences as `dfjax reproduce --json` prints them."""
        return super().to_json() | {"differences": [one._asdict() for one in self.differences]}


def reproduce(path: Path) -> Reproduction:
    """Returns what differs when a `metrics.json` is computed again from its predictions.

    Args:
        path: File `metrics.json`, or its folder.

    Raises:
        UsageError: The file cannot be read, or has no record of its inputs.
    """
    path = path / "metrics.json" if path.is_dir() else path
    if not path.exists() and (several := sorted(path.parent.glob("*/metrics.json"))):
        listed = ", ".join(str(one.parent) for one in several[:8])
        raise UsageError(
            f"{path.parent} has the results of several detectors: name one of {listed}"
        )
    recorded = read_json(path, {str: object})
    if INPUTS not in recorded:
        raise UsageError(f"{path} has no record of its inputs: evaluate the predictions again")
    record = recorded[INPUTS]
    check_value(record, RECORD, name=f"{INPUTS} of {path}")
    differences = []
    if (found := hash_content(recorded)) != record["sha256"]:
        differences.append(Difference(path.name, record["sha256"], found))
    for name, entry in record["files"].items():
        found = _hash(path.parent / entry["path"])
        if found != entry["sha256"]:
            differences.append(Difference(f"{name} ({entry['path']})", entry["sha256"], found))
    now = {"version": dfjax.__version__, "sha256": hash_code()}
    differences += [
        Difference(f"code {name}", record["code"][name], value)
        for name, value in now.items()
        if record["code"][name] != value
    ]
    numbers = 0
    try:
        again, left_out = _recompute(path.parent, record)
    except (UsageError, InputError, OSError) as error:
        differences.append(Difference("numbers", "computed", f"cannot be computed: {error}"))
    else:
        old, new = (dict(_list_values(one, left_out)) for one in (recorded, again))
        numbers = len(old)
        differences += [
            Difference(name, old.get(name), new.get(name))
            for name in dict.fromkeys([*old, *new])
            if name not in old or name not in new or not _same(old[name], new[name])
        ]
    return Reproduction(path, differences, len(record["files"]), numbers)


def _hash(path: Path) -> str:
    """Returns the hash of a file, or of the variables of a checkpoint, or what is the matter.

    Other folders and devices are not read, which a record of somebody else could name.
    """
    if not path.is_file() and not (path.is_dir() and path.name == VARIABLES):
        return "missing"
    try:
        return hash_path(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _recompute(folder: Path, record: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the content of `metrics.json` computed again, and entries that cannot be compared."""
    files, settings = record["files"], record["settings"]
    if PREDICTIONS not in files:
        raise UsageError("the record names no predictions")
    predictions = read_predictions([folder / files[PREDICTIONS]["path"]]).predictions
    index: pd.DataFrame | None = None
    left_out: tuple[str, ...] = NOT_COMPARED
    if "index" in files:
        place = folder / files["index"]["path"]
        if place.exists():
            index = read_index(find_index(place))
        else:
            left_out = (*NOT_COMPARED, *OF_INDEX)
    return make_metrics(predictions, _make_context(settings, index)), left_out


def _make_context(settings: dict[str, Any], index: pd.DataFrame | None) -> Context:
    frozen = settings.get("frozen")
    try:
        return Context(
            heldout_methods=list(settings["heldout_methods"]),
            index=index,
            checkpoint=settings["checkpoint"],
            split=settings["split"],
            unreadable=int(settings["unreadable"]),
            frozen=Frozen(float(frozen["threshold"]), str(frozen["source"])) if frozen else None,
            numbers=Numbers(settings["protocol"], settings["first_frames"]),
            guarantee=settings.get("guarantee"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the settings of the record are damaged: {error}") from error


def _list_values(
    value: Any, left_out: tuple[str, ...], name: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yields every value of nested dicts and lists with its name, `by_method/FaceSwap/ap`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if name or key not in left_out:
                yield from _list_values(inner, left_out, f"{name}/{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _list_values(inner, left_out, f"{name}[{place}]")
    else:
        yield name, value


def _same(a: Any, b: Any) -> bool:
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (a, b))
    if numbers:
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(a == b)
