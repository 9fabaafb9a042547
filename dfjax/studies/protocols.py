"""Runs a protocol: one or several detectors on several test sets, and the table of the results.

A protocol is a file in `configs/protocols/` that defines `get_protocol()`, which returns a dict:

- `title`: title of the table.
- `columns`: the test sets by name, each a dict with `dataset` and possibly `methods` (tested
  against all reals of the data set) and `compression`.
- `metric` (optional): name of the metric, `video_auc` if it is absent.
- `diagonal` (optional): True if each detector is tested on the column of its own name only.
"""

from __future__ import annotations

import runpy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfjax import FAKE, REAL
from dfjax.config import find_protocol
from dfjax.data.index.records import find_index, read_index
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.conventions.benchmark_protocol import Numbers
from dfjax.evaluation.metrics import RESAMPLES
from dfjax.evaluation.report.metrics_json import Context
from dfjax.evaluation.report.protocol_table import (
    TABLE_FILES,
    Cell,
    ProtocolTable,
    Selection,
    measure_cell,
    write_table,
)
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.normalisation import COMPRESSION
from dfjax.evaluation.tables.predictions import read_heldout, read_predictions
from dfjax.evaluation.tables.split_choice import TEST, choose_split
from dfjax.evaluation.videos.aggregation import clean
from dfjax.evaluation.videos.cuts import find_heldout
from dfjax.inference.evaluate import TABLE_SUFFIXES, evaluate
from dfjax.outputs import check_outputs
from dfjax.results import Result
from dfjax.studies.ablation_table import name_folder

KEYS = ("title", "columns", "metric", "diagonal")
SELECTION = ("dataset", "methods", "compression")


class Protocol(NamedTuple):
    """A checked protocol.

    Attributes:
        title: Title of the table.
        columns: Test sets by name.
        metric: Name of the metric, as in `metrics.json`.
        diagonal: Whether each detector is tested on the column of its own name only.
    """

    title: str
    columns: dict[str, Selection]
    metric: str
    diagonal: bool


@dataclass(frozen=True)
class ProtocolResult(Result):
    """The table of a protocol, and what is missing in it.

    Attributes:
        table: Table.
        missing: Sentences about test sets without videos.
        notes: Sentences about the rows that the numbers are computed of.
        out: Folder with the files of the table, or None.
    """

    table: ProtocolTable
    missing: list[str]
    notes: list[str]
    out: Path | None

    def describe(self) -> list[str]:
        """Returns the lines of the table in Markdown, and one that names the files."""
        lines = self.table.markdown.splitlines()
        files = f"written to {self.out}: table.md table.csv table.tex table.json"
        return [*lines, files] if self.out else lines

    def list_errors(self) -> list[str]:
        """Returns the sentences about test sets without videos."""
        return self.missing

    def to_json(self) -> dict[str, Any]:
        """Returns the table as one object for JSON."""
        return self.table.to_json()


def load_protocol(spec: str) -> Protocol:
    """Returns the protocol in a file, or of a name in `configs/protocols/`.

    Raises:
        UsageError: The protocol does not exist, or a key of it is unknown or missing.
    """
    path = find_protocol(spec)
    defined = runpy.run_path(str(path))
    if "get_protocol" not in defined:
        raise UsageError(f"{path.name} does not define get_protocol()")
    content = defined["get_protocol"]()
    for key in content:
        if key not in KEYS:
            raise unknown(f"key of {path.name}", key, KEYS)
    for key in ("title", "columns"):
        if not content.get(key):
            raise UsageError(f"{path.name} has no {key}")
    for name, selection in content["columns"].items():
        for key in selection:
            if key not in SELECTION:
                raise unknown(f"selection in {path.name}", key, SELECTION)
        if "dataset" not in selection:
            raise UsageError(f"the column {name} of {path.name} has no dataset")
    columns = {name: Selection(**selection) for name, selection in content["columns"].items()}
    metric, diagonal = content.get("metric", "video_auc"), content.get("diagonal", False)
    return Protocol(content["title"], columns, metric, diagonal)


def run_protocol(
    spec: str,
    detectors: Mapping[str, str | Path],
    *,
    data: Mapping[str, str | Path] | None = None,
    out: Path | None = None,
    metric: str = "",
    numbers: Numbers | None = None,
    form: TableForm | None = None,
    split: str | None = None,
    resamples: int = RESAMPLES,
) -> ProtocolResult:
    """Evaluates detectors on the test sets of a protocol, and writes the table.

    A number is that of `overall` of an evaluation of these rows. Manipulations that were held back
    from the training of any of the detectors are only in test sets that name them.

    Args:
        spec: Name or file of the protocol.
        detectors: For each row of the table a workdir, a safetensors file, or predictions.
        data: Indexes or packs of the test sets, by any names, which workdirs are evaluated on; none
            for the data of each run.
        out: Folder for the table, and for the evaluations of workdirs, which need it.
        metric: Name of the metric; empty for that of the protocol.
        numbers: Protocol of the numbers; None for the strict one.
        form: How files of predictions are to be read.
        split: Split of files of predictions, or `all`; None for `test` (see `choose_split`).
        resamples: Number of bootstrap resamples for the intervals.

    Raises:
        UsageError: The protocol does not exist, no test set has videos, or a detector cannot be
            evaluated.
    """
    protocol, numbers = load_protocol(spec), numbers or Numbers()
    if out:
        check_outputs(out / name for name in TABLE_FILES)
    if protocol.diagonal and (others := sorted(set(detectors) - set(protocol.columns))):
        raise unknown("column of a detector", others[0], protocol.columns)
    metric = metric or protocol.metric
    context = Context(numbers=numbers)
    cells: list[Cell] = []
    missing, notes = _list_unused(protocol, detectors), list[str]()
    files = {row: _score(row, Path(one), data or {}, out) for row, one in detectors.items()}
    held_back = {name for one in files.values() for path in one for name in read_heldout(path)}
    for row, tables in files.items():
        predictions, said = _read(tables, Path(detectors[row]), form, split)
        chosen, lacking = _choose(protocol, row, predictions, held_back)
        name, options = "left out" if protocol.diagonal else row, (metric, resamples)
        cells += [measure_cell(name, k, rows, context, *options) for k, rows in chosen.items()]
        missing, notes = missing + lacking, notes + [f"{row}: {note}" for note in said]
    _check_cells(cells, protocol, spec, metric)
    used = f", first {numbers.first_frames} frames" if numbers.first_frames else ""
    described, columns = f"{numbers.protocol}{used}", tuple(protocol.columns)
    table = ProtocolTable(protocol.title, metric, described, columns, tuple(cells))
    if out:
        write_table(table, out, [f"{note}." for note in [*missing, *notes]])
    return ProtocolResult(table, missing, notes, out)


def _check_cells(cells: Sequence[Cell], protocol: Protocol, spec: str, metric: str) -> None:
    if not cells:
        raise UsageError(
            f"no predictions are of the data sets of {spec}: {_describe_columns(protocol)}"
        )
    if all(cell.value is None for cell in cells):
        raise UsageError(f"no test set has the metric {metric}")


def _list_unused(protocol: Protocol, detectors: Mapping[str, str | Path]) -> list[str]:
    """Returns a sentence for each test set that no detector is for."""
    unused = [name for name in protocol.columns if protocol.diagonal and name not in detectors]
    return [f"no detector is for {name}" for name in unused]


def _describe_columns(protocol: Protocol) -> str:
    """Returns the columns of predictions that the test sets are found by, with their values."""
    chosen = protocol.columns.values()
    values = {
        "dataset": [one.dataset for one in chosen],
        COMPRESSION: [one.compression for one in chosen if one.compression],
        "method": [name for one in chosen for name in one.methods],
    }
    parts = [
        f"{name} ({', '.join(dict.fromkeys(named))})" for name, named in values.items() if named
    ]
    wanted = ", ".join(dict.fromkeys(values["dataset"]))
    return f"{wanted}; test sets are found by the columns {', '.join(parts)}"


def _choose(
    protocol: Protocol, row: str, predictions: pd.DataFrame, held_back: Collection[str]
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Returns the predictions on each test set with both classes, and what the others lack."""
    chosen: dict[str, pd.DataFrame] = {}
    lacking = []
    for column, selection in protocol.columns.items():
        if protocol.diagonal and column != row:
            continue
        mask = selection.find(predictions)
        if not selection.methods:
            mask &= ~find_heldout(predictions, list(held_back)).to_numpy()
        rows = predictions[mask].reset_index(drop=True)
        labels = set(clean(rows)["label"])
        if labels == {REAL, FAKE}:
            chosen[column] = rows
        else:
            lacks = "videos" if not labels else "reals" if REAL not in labels else "fakes"
            lacking.append(f"{row} has no {lacks} of {column}")
    return chosen, lacking


def _score(
    row: str, source: Path, data: Mapping[str, str | Path], out: Path | None
) -> dict[Path, str | Path | None]:
    """Returns the files of predictions of a detector, with the index of each or None."""
    if source.suffix.lower() in TABLE_SUFFIXES:
        return {source: None}
    if out is None:
        raise UsageError("evaluating a workdir needs a folder for the results (out)")
    found: dict[Path, str | Path | None] = {}
    for name, index in data.items() or [("own", None)]:
        folder = out / name_folder(row) / name_folder(name)
        evaluate(source, split=TEST, index=index, out=folder)
        # The file names the clusters that are resampled, as the index gives them.
        found[folder / "predictions.parquet"] = index
    return found


def _read(
    files: Mapping[Path, str | Path | None],
    source: Path,
    form: TableForm | None,
    split: str | None,
) -> tuple[pd.DataFrame, list[str]]:
    """Returns the predictions of a detector, with compressions where known, and notes on them.

    `form` and `split` are of `source`, if it is a file of predictions; other files are our own.
    """
    parts, notes = [], []
    for path, index in files.items():
        given = path == source
        read = read_predictions([path], form=form if given else None)
        rows, _, flags = choose_split(read.predictions, split if given else None)
        notes += [one["message"] for one in read.flags if one["severity"] != "info"]
        notes += [one["message"] for one in flags]
        parts.append(_add_compressions(rows, index))
    return pd.concat(parts, ignore_index=True), notes


def _add_compressions(predictions: pd.DataFrame, index: str | Path | None) -> pd.DataFrame:
    if index is None:
        return predictions
    known = read_index(find_index(index)).set_index("video_id")[COMPRESSION]
    if known.isna().all():
        return predictions
    return predictions.assign(**{COMPRESSION: predictions["video_id"].map(known)})


def parse_named(items: Sequence[str], what: str) -> dict[str, str]:
    """Returns the values of `NAME=VALUE` by name.

    Raises:
        UsageError: A name or a value is missing, or a name occurs twice.
    """
    found: dict[str, Any] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name or not value or name in found:
            raise UsageError(f"{what} are given as NAME=PATH with distinct names, not {item}")
        found[name] = value
    return found
