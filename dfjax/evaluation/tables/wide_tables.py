"""Wide tables, which have one column of scores per detector."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from dfjax.errors import UsageError
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.normalisation import check_rows
from dfjax.evaluation.tables.predictions import (
    NamedTable,
    ReadResult,
    Sources,
    combine,
    read_sources,
)
from dfjax.evaluation.tables.table_files import TableFile
from dfjax.evaluation.tables.unscored import leave_out

SCORES = ("fake_prob", "logit", "verdict")
"""Columns of one detector, which a table of several need not have."""


class Detector(NamedTuple):
    """A detector of a wide table: the name of its folder, and its column."""

    name: str
    column: str


def read_detectors(
    sources: Sources,
    pattern: str,
    index: pd.DataFrame | None = None,
    form: TableForm | None = None,
) -> dict[str, ReadResult]:
    """Returns the predictions of each detector, by its name.

    The name of a detector is its column without the fixed part of the pattern. Rows without a score
    of a detector are left out of its predictions and counted in a flag.

    Args:
        sources: Files and tables, as for `read_predictions`.
        pattern: Pattern of the columns with scores, such as `prob_*`.
        index: Index of the videos, or None.
        form: How tables of other programs are to be read; None for the usual form.

    Raises:
        UsageError: No column matches, a detector has no score, or a table cannot be read.
    """
    form = replace(form or TableForm(), kept=pattern)
    tables = read_sources(sources, form, scores=False)
    columns = [str(name) for table in tables for name in table.file.table]
    detectors = find_detectors(list(dict.fromkeys(columns)), pattern)
    found: dict[str, ReadResult] = {}
    firsts: dict[int, pd.DataFrame] = {}
    for one in detectors:
        read = _read_one(tables, one, detectors, index, form)
        shared = share_columns(read.predictions, firsts)
        found[one.name] = read._replace(predictions=shared)
    return found


def share_columns(table: pd.DataFrame, firsts: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """Returns a table whose columns that are equal to those of an earlier one use its memory.

    Args:
        table: Predictions of one detector.
        firsts: The first table of each length, to which this one is added if it is the first.
    """
    first = firsts.setdefault(len(table), table)
    if first is table:
        return table
    columns = {
        name: first[name] if name in first and column.equals(first[name]) else column.copy()
        for name, column in table.items()
    }
    return pd.DataFrame(columns, copy=False)


def find_detectors(columns: list[str], pattern: str) -> list[Detector]:
    """Returns the detectors whose columns match a pattern, in the order of the columns.

    Raises:
        UsageError: No column matches, or two columns give one name.
    """
    found = [name for name in columns if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        raise UsageError(f"no column matches {pattern}; the columns are: {', '.join(columns)}")
    before, star, after = pattern.partition("*")
    plain = bool(star) and not re.search(r"[*?\[]", before + after)
    names = [one.removeprefix(before).removesuffix(after) if plain else one for one in found]
    safe = [
        re.sub(r"[^\w.+-]", "_", name).strip(".") or f"detector{n}" for n, name in enumerate(names)
    ]
    if len(set(safe)) < len(safe):
        raise UsageError(f"columns matched by {pattern} give the same name twice: {safe}")
    return [Detector(*pair) for pair in zip(safe, found)]


def _read_one(
    tables: list[NamedTable],
    detector: Detector,
    detectors: list[Detector],
    index: pd.DataFrame | None,
    form: TableForm,
) -> ReadResult:
    others = [one.column for one in detectors if one.column != detector.column]
    parts = []
    for read, name in tables:
        if detector.column not in read.table:
            continue
        dropped = [*others, *(one for one in SCORES if one != detector.column)]
        alone = read.table.drop(columns=dropped, errors="ignore")
        alone = alone.rename(columns={detector.column: "fake_prob"})
        check_rows(alone, name, form.scale)  # names rows as they are in the file
        kept, flags = leave_out(alone, alone["fake_prob"].notna(), f"{name}, {detector.column}")
        if len(kept):
            read = TableFile(kept, read.metadata, read.notes, [*read.flags, *flags])
            parts.append(NamedTable(read, f"{name}, {detector.column}"))
    if not parts:
        raise UsageError(f"the column {detector.column} has no scores")
    return combine(parts, index, form.scale)
