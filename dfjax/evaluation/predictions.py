"""Reads and writes prediction tables; tables of any detector (CSV or Parquet) get the same columns.

The columns are `dataset video_id unit position face label method logit fake_prob split`, with one
row per frame, clip or video. The key is (dataset, video_id, unit, position, face): rows are joined
by it, never by their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit, logit

import dfjax
from dfjax.errors import UsageError
from dfjax.evaluation import clusters
from dfjax.evaluation.aggregation import UNITS, VIDEO
from dfjax.evaluation.flags import Flag, make_flag
from dfjax.evaluation.flags.methods import UNKNOWN, compare_methods
from dfjax.evaluation.table_files import TableFile, read_table_file
from dfjax.files import atomic_path
from dfjax.json_files import parse_json
from dfjax.text_tables import match_columns

COLUMNS: dict[str, str] = {
    "dataset": "object",
    "video_id": "object",
    "unit": "object",
    "position": "int32",
    "face": "int32",
    "label": "int8",
    "method": "object",
    "logit": "float64",
    "fake_prob": "float64",
    "split": "object",
}
LABEL_WORDS = {
    **dict.fromkeys(("0", "0.0", "false", "real"), dfjax.REAL),
    **dict.fromkeys(("1", "1.0", "true", "fake"), dfjax.FAKE),
}
TEXT = ("dataset", "video_id", "unit", "method", "split", *clusters.COLUMNS)
KNOWN = (*COLUMNS, "frame", "clip", *clusters.COLUMNS)
"""Columns whose names may be written otherwise (see `match_columns`)."""

LOGIT_TOLERANCE = 0.01
"""Largest difference between fake_prob and the probability of its logit; rounding is below it."""

CHECKPOINT, HELDOUT = b"dfjax.checkpoint", b"dfjax.heldout_methods"


class ReadResult(NamedTuple):
    """Predictions, with other information in their files.

    Attributes:
        predictions: Table with the columns `COLUMNS`, and any others.
        flags: Flags for assumptions that had to be made.
        checkpoint: Name of the checkpoint, or None if the files have none.
        heldout_methods: Manipulations that were held back from training.
    """

    predictions: pd.DataFrame
    flags: list[Flag]
    checkpoint: str | None
    heldout_methods: tuple[str, ...]


def read_predictions(
    sources: Sequence[str | Path | pd.DataFrame], index: pd.DataFrame | None = None
) -> ReadResult:
    """Returns the rows of all `sources` as one table with the columns `COLUMNS`.

    A table needs `video_id`, `label` and one of `fake_prob` and `logit`; further columns are kept.
    Missing values are taken from `index` by `video_id`; otherwise the data set is `unknown` and the
    method `real` or `unknown`.

    Args:
        sources: Files, Parquet or CSV, and tables in memory, which are not changed.
        index: Index of the videos, or None.

    Raises:
        UsageError: A file does not exist, is not a table, lacks a column, or has a label that is
            neither real nor fake, a probability outside [0, 1], or two labels for one video.
    """
    tables, flags, checkpoints, heldout = [], list[Flag](), set(), set[str]()
    for source in sources:
        if isinstance(source, pd.DataFrame):
            read, name = TableFile(source.reset_index(drop=True), {}, []), "the table"
        else:
            read, name = read_file(Path(source)), str(source)
        checkpoints.add(read.metadata.get(CHECKPOINT, b"").decode(errors="replace"))
        methods = read.metadata.get(HELDOUT, b"[]")
        heldout.update(parse_json(methods, [str], name=f"{HELDOUT.decode()} of {name}"))
        flags += [make_flag("read_as", "info", note) for note in read.notes]
        flags += normalise(read.table, name, index)
        tables.append(read.table)
    predictions = pd.concat(tables, ignore_index=True)
    _check_labels_agree(predictions)
    first = list(COLUMNS)
    others = [name for name in predictions.columns if name not in COLUMNS]
    checkpoint = ", ".join(sorted(filter(None, checkpoints))) or None
    return ReadResult(predictions[first + others], flags, checkpoint, tuple(sorted(heldout)))


def write_predictions(
    predictions: pd.DataFrame,
    path: str | Path,
    *,
    checkpoint: str,
    heldout_methods: Sequence[str] = (),
) -> None:
    """Writes the table as Parquet atomically, with checkpoint and methods in its metadata.

    Args:
        predictions: Table with the columns `COLUMNS`, and any others.
        path: Parquet file to write.
        checkpoint: Name of the checkpoint that the scores come from.
        heldout_methods: Manipulations held back from training, which `overall` leaves out.
    """
    table = pa.Table.from_pandas(predictions, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), CHECKPOINT: checkpoint.encode()}
    metadata[HELDOUT] = json.dumps(list(heldout_methods)).encode()
    metadata[b"dfjax.version"] = dfjax.__version__.encode()
    with atomic_path(Path(path)) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def read_file(path: Path) -> TableFile:
    """Returns the table in a CSV or Parquet file (see `read_table_file`).

    Raises:
        UsageError: The file is missing or has another format.
    """
    return read_table_file(path, KNOWN, TEXT)


def normalise(table: pd.DataFrame, name: str, index: pd.DataFrame | None) -> list[Flag]:
    """Adds the missing `COLUMNS` to `table` in place, and returns flags for assumptions.

    Args:
        table: Predictions as they were read.
        name: Name of the file, for messages.
        index: Index of the videos, or None.

    Raises:
        UsageError: The table is invalid; see `read_predictions`.
    """
    table.columns = pd.Index(match_columns(table.columns, KNOWN, name=name))
    missing = [column for column in ("video_id", "label") if column not in table]
    if "fake_prob" not in table and "logit" not in table:
        missing.append("fake_prob (or logit)")
    if missing:
        raise UsageError(f"{name} lacks the column {', '.join(missing)}")
    if not len(table):
        raise UsageError(f"{name} has no rows")
    nameless = int(table["video_id"].isna().sum())
    if nameless:
        raise UsageError(f"{name}: {nameless} rows have no video_id")
    for column in set(TEXT) & set(table.columns):
        if pd.api.types.infer_dtype(table[column], skipna=True) not in ("string", "empty"):
            table[column] = table[column].map(str, na_action="ignore").astype("object")
    table["label"] = _labels(table["label"], name)
    flags = _fill_scores(table, name)
    _fill_names(table, index)
    return flags + compare_methods(table, name) + _fill_units(table, name)


def _labels(column: pd.Series, name: str) -> pd.Series:
    codes, values = pd.factorize(column, use_na_sentinel=False)
    labels = [LABEL_WORDS.get(str(value).strip().lower()) for value in values]
    wrong = sorted(str(value) for value, label in zip(values, labels) if label is None)[:3]
    if wrong:
        raise UsageError(f"{name}: label must be 0 (real) or 1 (fake), not {', '.join(wrong)}")
    return pd.Series(np.array(labels, np.int8)[codes], column.index)


def _fill_scores(table: pd.DataFrame, name: str) -> list[Flag]:
    for column in {"fake_prob", "logit"} & set(table.columns):
        numbers = pd.to_numeric(table[column], errors="coerce")
        wrong = table[column][numbers.isna() & table[column].notna()]
        if len(wrong):
            first = str(wrong.iloc[0])
            hint = "; divide percentages by 100" if first.strip().endswith("%") else ""
            raise UsageError(
                f"{name}: the column {column} has values that are not numbers, such as "
                f"{first:.40}{hint}"
            )
        table[column] = numbers.astype("float64")
    if "fake_prob" not in table:
        table["fake_prob"] = expit(table["logit"])
    elif "logit" in table:
        table["fake_prob"] = table["fake_prob"].fillna(expit(table["logit"]))
    outside = table.loc[(table["fake_prob"] < 0) | (table["fake_prob"] > 1), "fake_prob"]
    if len(outside):
        percent = table["fake_prob"].min() >= 0 and table["fake_prob"].max() <= 100
        hint = "divide percentages by 100" if percent else "logits belong in the column 'logit'"
        raise UsageError(f"{name}: fake_prob must lie in [0, 1], not {outside.iloc[0]:.9g}; {hint}")
    if "logit" not in table:
        with np.errstate(divide="ignore"):
            table["logit"] = logit(table["fake_prob"])
    apart = (expit(table["logit"]) - table["fake_prob"]).abs() > LOGIT_TOLERANCE
    if not apart.any():
        return []
    message = (
        f"{name}: in {apart.sum()} rows the logit is not that of fake_prob; fake_prob is evaluated"
    )
    return [make_flag("logit_conflicts", "error", message, table.loc[apart, "video_id"])]


def _fill_names(table: pd.DataFrame, index: pd.DataFrame | None) -> None:
    """Fills missing data sets, methods and splits from the index or with default values."""
    reals = pd.Series(np.where(table["label"] == dfjax.REAL, "real", "unknown"), table.index)
    fallback: Mapping[str, Any] = {"dataset": UNKNOWN, "method": reals, "split": "none"}
    for column, words in fallback.items():
        if column in table:
            values = table[column].where(table[column].notna() & (table[column] != ""))
        else:
            values = pd.Series(None, index=table.index, dtype="object")
        if index is not None:
            values = values.fillna(table["video_id"].map(index.set_index("video_id")[column]))
        table[column] = values.fillna(words).astype("object")


def _fill_units(table: pd.DataFrame, name: str) -> list[Flag]:
    flags = []
    _take_unit(table, name)
    positions = (
        pd.to_numeric(table["position"], errors="coerce")
        if "position" in table
        else pd.Series(np.nan, index=table.index)
    )
    unnumbered = positions.isna() & (table["unit"] != "video")
    if unnumbered.any():
        ids = sorted(set(table.loc[unnumbered, "video_id"]))
        message = f"{name}: {int(unnumbered.sum())} rows have no position; numbered in file order"
        flags.append(make_flag("no_position", "warning", message, ids))
        order = table[unnumbered].groupby([*VIDEO, "unit"]).cumcount()
        positions = positions.fillna(order.astype("float64"))
    table["position"] = _whole(positions.fillna(0), "position", name)
    table["face"] = _whole(table["face"].fillna(0), "face", name) if "face" in table else 0
    table["face"] = table["face"].astype("int32")
    return flags


def _whole(column: pd.Series, what: str, name: str) -> pd.Series:
    """Returns the column as int32, without rounding or overflow, which would repeat keys."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[~((numbers % 1 == 0) & (numbers.abs() < 2**31))]
    if len(wrong):
        raise UsageError(f"{name}: {what} must be a whole number below 2^31, not {wrong.iloc[0]}")
    return numbers.astype("int32")


def _take_unit(table: pd.DataFrame, name: str) -> None:
    """Sets `unit` (and `position`, from a column `frame` or `clip`)."""
    if "unit" not in table:
        named = next((unit for unit in ("frame", "clip") if unit in table), None)
        if named:
            table["position"] = table.pop(named)
            table["unit"] = named
        else:
            # A single row per video is the score of the video; several rows are frames.
            table["unit"] = "frame" if table.duplicated(VIDEO).any() else "video"
    wrong = sorted({str(unit) for unit in table["unit"].unique()} - set(UNITS))
    if wrong:
        raise UsageError(f"{name}: unit must be one of {', '.join(UNITS)}, not {wrong[0]}")
    table["unit"] = table["unit"].astype("object")


def _check_labels_agree(predictions: pd.DataFrame) -> None:
    counts = predictions.groupby(VIDEO)["label"].nunique()
    both = counts[counts > 1]
    if len(both):
        video = "/".join(both.index[0])
        raise UsageError(
            f"{len(both)} videos have both labels, first {video}: make video_id unique,"
            " or name each video's dataset"
        )
