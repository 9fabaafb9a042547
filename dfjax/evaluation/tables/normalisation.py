"""Gives tables of predictions of any program the columns of predictions (`COLUMNS`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

import dfjax
from dfjax.errors import UsageError
from dfjax.evaluation.flags import Flag, describe_rows, make_flag
from dfjax.evaluation.tables import decisions
from dfjax.evaluation.tables.label_checks import compare_labels
from dfjax.evaluation.tables.label_words import find_label
from dfjax.evaluation.tables.method_checks import UNKNOWN as UNKNOWN
from dfjax.evaluation.tables.method_checks import compare_methods
from dfjax.evaluation.videos import clusters
from dfjax.evaluation.videos.aggregation import LOGIT_TOLERANCE, UNITS, VIDEO

COMPRESSION = "compression"

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
TEXT = ("dataset", "video_id", "unit", "method", "split", COMPRESSION, *clusters.COLUMNS)
KNOWN = (*COLUMNS, "frame", "clip", decisions.COLUMN, COMPRESSION, *clusters.COLUMNS)
"""Columns whose names may be written otherwise (see `match_columns`)."""


def normalise(
    table: pd.DataFrame, name: str, index: pd.DataFrame | None, scale: str | None = None
) -> list[Flag]:
    """Adds the missing `COLUMNS` to `table` in place, and returns flags for assumptions.

    Args:
        table: Predictions as they were read, with the usual names of columns.
        name: Name of the file, for messages.
        index: Index of the videos, or None.
        scale: Scale of the scores (see `TableForm`).

    Raises:
        UsageError: The table is invalid; see `read_predictions`.
    """
    missing = [column for column in ("video_id", "label") if column not in table]
    if "fake_prob" not in table and "logit" not in table:
        missing.append("fake_prob (or logit)")
    if missing:
        raise UsageError(
            f"{name} lacks the column {', '.join(missing)}; it has {', '.join(map(str, table))}: "
            "name columns by 'columns', or the columns of several detectors by 'scores'"
        )
    if not len(table):
        raise UsageError(f"{name} has no rows")
    nameless = int(table["video_id"].isna().sum())
    if nameless:
        where = describe_rows(table["video_id"].isna())
        raise UsageError(f"{name}: {nameless} rows have no video_id ({where})")
    for column in set(TEXT) & set(table.columns):
        if pd.api.types.infer_dtype(table[column], skipna=True) not in ("string", "empty"):
            table[column] = table[column].map(str, na_action="ignore").astype("object")
    table["label"] = read_labels(table["label"], name)
    flags = [*compare_labels(table, name), *_fill_scores(table, name, scale)]
    _fill_names(table, index)
    flags += _check_decisions(table, name)
    return flags + compare_methods(table, name) + _fill_units(table, name)


def check_rows(table: pd.DataFrame, name: str, scale: str | None) -> None:
    """Checks the labels and scores of rows, of which some may have no score.

    Args:
        table: Predictions with the usual names of columns, which are not changed.
        name: Name of the file, for messages.
        scale: Scale of the scores (see `TableForm`).

    Raises:
        UsageError: A label or score is invalid.
    """
    if "label" in table:
        read_labels(table["label"], name)
    columns = [column for column in ("video_id", "fake_prob") if column in table]
    _fill_scores(table[columns].copy(), name, scale)


def read_labels(column: pd.Series, name: str) -> pd.Series:
    """Returns labels of any spelling as numbers.

    Args:
        column: Labels as they were read.
        name: Name of the file, for messages.

    Raises:
        UsageError: A label is neither real nor fake.
    """
    codes, values = pd.factorize(column, use_na_sentinel=False)
    labels = [find_label(value) for value in values]
    wrong = sorted(str(value) for value, label in zip(values, labels) if label is None)[:3]
    if wrong:
        bad = np.array([label is None for label in labels])[codes]
        raise UsageError(
            f"{name}: label must be 0 (real) or 1 (fake), not {', '.join(wrong)} "
            f"({describe_rows(bad)})"
        )
    return pd.Series(np.array(labels, np.int8)[codes], column.index)


def _fill_scores(table: pd.DataFrame, name: str, scale: str | None) -> list[Flag]:
    for column in {"fake_prob", "logit"} & set(table.columns):
        table[column] = read_numbers(table, column, name)
    flags = _apply_scale(table, name, scale)
    if "fake_prob" not in table:
        flags += _doubt_logits(table, name, scale)
        table["fake_prob"] = expit(table["logit"])
    elif "logit" in table:
        table["fake_prob"] = table["fake_prob"].fillna(expit(table["logit"]))
    _check_range(table["fake_prob"], name)
    table["fake_prob"] = table["fake_prob"].where(np.isfinite(table["fake_prob"]))
    if "logit" not in table:
        with np.errstate(divide="ignore"):
            table["logit"] = logit(table["fake_prob"])
    apart = (expit(table["logit"]) - table["fake_prob"]).abs() > LOGIT_TOLERANCE
    if apart.any():
        message = (
            f"{name}: in {apart.sum()} rows the logit is not that of fake_prob; fake_prob is "
            f"evaluated ({describe_rows(apart)})"
        )
        flags.append(make_flag("logit_conflicts", "error", message, table.loc[apart, "video_id"]))
    return flags


def read_numbers(table: pd.DataFrame, column: str, name: str) -> pd.Series:
    """Returns a column of scores as float64; missing values stay missing.

    Args:
        table: Predictions as they were read.
        column: Name of the column.
        name: Name of the file, for messages.

    Raises:
        UsageError: A value is not a number.
    """
    numbers = pd.to_numeric(table[column], errors="coerce")
    wrong = numbers.isna() & table[column].notna()
    if wrong.any():
        first = str(table[column][wrong].iloc[0])
        hint = "; divide percentages by 100" if first.strip().endswith("%") else ""
        raise UsageError(
            f"{name}: the column {column} has values that are not numbers, such as "
            f"{first:.40}{hint} ({describe_rows(wrong)})"
        )
    return numbers.astype("float64")


def _apply_scale(table: pd.DataFrame, name: str, scale: str | None) -> list[Flag]:
    """Replaces scores on another scale, which the caller has named, by logits or probabilities."""
    if scale is None or "fake_prob" not in table:
        return []
    scores = table["fake_prob"]
    if scale == "logit":
        if "logit" in table:
            raise UsageError(f"{name} has a column logit: the scale of fake_prob is not 'logit'")
        table["logit"] = table.pop("fake_prob")
    elif scale == "percent":
        outside = np.isfinite(scores) & ((scores < 0) | (scores > 100))
        if outside.any():
            where = describe_rows(outside)
            raise UsageError(f"{name}: percentages must lie in [0, 100] ({where})")
        table["fake_prob"] = scores / 100
        if scores.max() <= 1 and len(table) > 1:
            message = f"{name}: all scores are at most 1 %: they may be probabilities"
            return [make_flag("scale_doubtful", "error", message)]
    return []


def _doubt_logits(table: pd.DataFrame, name: str, scale: str | None) -> list[Flag]:
    if len(table) < 10 or not table["logit"].between(0, 1).all():
        return []
    message = f"{name}: all logits lie in [0, 1], as probabilities do"
    return [make_flag("scale_doubtful", "error" if scale else "warning", message)]


def _check_range(probs: pd.Series, name: str) -> None:
    outside = np.isfinite(probs) & ((probs < 0) | (probs > 1))
    if not outside.any():
        return
    percent = probs[outside].between(0, 100).all() and not (probs < 0).any()
    hint = "divide percentages by 100" if percent else "logits belong in the column 'logit'"
    scale = "percent" if percent else "logit"
    raise UsageError(
        f"{name}: fake_prob must lie in [0, 1], not {probs[outside].iloc[0]:.9g}; {hint}, or give "
        f"the scale '{scale}' ({describe_rows(outside)})"
    )


def _check_decisions(table: pd.DataFrame, name: str) -> list[Flag]:
    """Returns the flag of the decisions in the table, if it has any."""
    if decisions.COLUMN not in table:
        return []
    words = table[decisions.COLUMN]
    called = words.map(find_label)
    unread = words.notna() & called.isna()
    if unread.any():
        message = f"{name}: the column of decisions has other values than real and fake"
        return [make_flag("decisions_unread", "info", message)]
    known = called.notna() & np.isfinite(table["fake_prob"])
    if not known.any():
        return []
    fake = called[known].to_numpy(np.float64) == dfjax.FAKE
    return [decisions.check_decisions(table[known], fake, name)]


def _fill_names(table: pd.DataFrame, index: pd.DataFrame | None) -> None:
    """Fills missing data sets, methods and splits from the index or with default values."""
    reals = pd.Series(np.where(table["label"] == dfjax.REAL, "real", "unknown"), table.index)
    fallback: Mapping[str, Any] = {"dataset": UNKNOWN, "method": reals, "split": "none"}
    for column, words in fallback.items():
        if column in table:
            empty = table[column].isna() | (table[column] == "")
            values = table[column].where(~empty) if empty.any() else table[column]
        else:
            values = pd.Series(None, index=table.index, dtype="object")
        if values.isna().any() and index is not None:
            values = values.fillna(table["video_id"].map(index.set_index("video_id")[column]))
        table[column] = (values.fillna(words) if values.isna().any() else values).astype("object")


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
            # Several rows per video are frames; if most videos have one row, others repeat theirs.
            single = int((~table.duplicated(VIDEO, keep=False)).sum())
            videos = int((~table.duplicated(VIDEO)).sum())
            mostly = 2 * single >= videos and "position" not in table
            table["unit"] = "video" if mostly or single == videos else "frame"
    wrong = sorted({str(unit) for unit in table["unit"].unique()} - set(UNITS))
    if wrong:
        raise UsageError(f"{name}: unit must be one of {', '.join(UNITS)}, not {wrong[0]}")
    table["unit"] = table["unit"].astype("object")
