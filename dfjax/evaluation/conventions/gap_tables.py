"""Explains the gap between two numbers of prediction files: `dfjax why`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from scipy.special import expit

from dfjax.data.index.records import read_index
from dfjax.errors import UsageError
from dfjax.evaluation.conventions.convention import (
    Convention,
    describe_convention,
    parse_convention,
)
from dfjax.evaluation.conventions.gap import Gap, count_choices, explain_gap, find_conventions
from dfjax.evaluation.conventions.scored_rows import Scored
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.normalisation import read_numbers
from dfjax.evaluation.tables.predictions import NamedTable, Sources, combine, read_sources
from dfjax.evaluation.tables.split_choice import VALIDATION, find_split
from dfjax.evaluation.tables.table_files import TableFile
from dfjax.evaluation.tables.wide_tables import SCORES, find_detectors
from dfjax.evaluation.videos.cuts import find_heldout


def explain_numbers(
    a: str,
    b: str,
    sources: Sources,
    *,
    scores: str = "",
    split: str | None = None,
    index: Path | None = None,
    form: TableForm | None = None,
) -> Gap:
    """Returns the gap between two numbers of one table, and its causes.

    Args:
        a: Convention of the first number (`parse_convention`), or the number itself, as it was
            published; then the conventions that give it are searched.
        b: Convention of the second number, or the number.
        sources: Files or tables with the predictions.
        scores: Pattern of the columns of several checkpoints; empty for one column of scores.
        split: Split of the numbers, or `all`; None for `test` (see `choose_split`).
        index: Index of the videos, or None.
        form: How tables of other programs are to be read; None for the usual form.

    Raises:
        UsageError: A convention is unknown, no convention gives a number, or the table cannot be
            read.
    """
    scored, notes = read_scored(sources, scores, split, index, form or TableForm())
    (first, note_a), (second, note_b) = _find(a, scored), _find(b, scored)
    gap = explain_gap(scored, first, second)
    if len(scored.columns) > 1:
        chosen = {describe_convention(one): scored.choose(one) for one in (gap.a, gap.b)}
        notes += [f"{number} is of {column}" for number, column in chosen.items()]
    return replace(gap, notes=(*dict.fromkeys([*note_a, *note_b, *notes]),))


def read_scored(
    sources: Sources, scores: str, split: str | None, index: Path | None, form: TableForm
) -> tuple[Scored, list[str]]:
    """Returns the rows of prediction files, prepared for conventions, and notes on their choice.

    The rows are those that `overall` of `evaluate` is computed of (see `explain_numbers`).
    """
    tables = read_sources(sources, replace(form, kept=scores), scores=not scores)
    columns: tuple[str, ...] = ("fake_prob",)
    if scores:
        names = dict.fromkeys(str(name) for one in tables for name in one.file.table)
        columns = tuple(one.column for one in find_detectors(list(names), scores))
        tables = [_keep_checkpoints(one, columns, form.scale) for one in tables]
    known = read_index(index) if index else None
    predictions, flags, _, heldout = combine(tables, known, None if scores else form.scale)
    held = find_heldout(predictions, heldout).to_numpy()
    selected, _, chosen = find_split(predictions, split)
    notes = [flag["message"] for flag in flags if flag["severity"] != "info"]
    notes += [flag["message"] for flag in chosen]
    if left := int((selected & held).sum()):
        methods = ", ".join(heldout)
        notes.append(f"{left:,} rows of {methods}, held back from training, are left out")
    validation = (predictions["split"] == VALIDATION).to_numpy() & ~held
    scored = Scored(predictions, columns, selected=selected & ~held, validation=validation)
    if scored.repeats:
        notes.append("some rows repeat the key of an earlier one")
    return scored, notes


def _keep_checkpoints(table: NamedTable, columns: tuple[str, ...], scale: str | None) -> NamedTable:
    """Returns a table whose columns of checkpoints are probabilities; `fake_prob` is the first."""
    read, name = table
    kept = read.table.drop(columns=[one for one in SCORES if one not in columns], errors="ignore")
    for column in columns:
        if column not in kept:
            raise UsageError(f"{name} lacks the column {column}")
        kept[column] = _to_probability(read_numbers(kept, column, name), scale)
        if not kept[column].dropna().between(0, 1).all():
            raise UsageError(
                f"{name}: the values of {column} are not probabilities: give the scale"
            )
    kept["fake_prob"] = kept[columns[0]]
    return NamedTable(TableFile(kept, read.metadata, read.notes, read.flags), name)


def _to_probability(values: pd.Series, scale: str | None) -> pd.Series:
    if scale == "logit":
        return pd.Series(expit(values), values.index)
    return values / 100 if scale == "percent" else values


def _find(text: str, scored: Scored) -> tuple[Convention, list[str]]:
    """Returns the convention of a text, or one that gives a number, and a note about others."""
    try:
        value = float(text)
    except ValueError:
        return parse_convention(text), []
    if not 0 <= value <= 1:
        hint = f"; write {text} percent as {value / 100:g}" if 1 < value <= 100 else ""
        raise UsageError(f"a number must lie in [0, 1], not {text}{hint}")
    digits = len(text.partition(".")[2])
    found = find_conventions(scored, value, digits)
    if not found:
        near = find_conventions(scored, value, 0)
        nearest = min(near, key=lambda one: abs(scored.measure(one) - value), default=None)
        hint = ""
        if nearest:
            number = f"{scored.measure(nearest):.{digits + 1}f}"
            hint = f"; the nearest is {number} ({describe_convention(nearest)})"
        raise UsageError(
            f"no convention gives {text} for this table{hint}; it may be of other predictions"
        )
    least = count_choices(found[0])
    others = [describe_convention(one) for one in found[1:] if count_choices(one) == least]
    if not others:
        return found[0], []
    chosen = describe_convention(found[0])
    return found[0], [f"{text} was read as {chosen}; these give it too: {'; '.join(others)}"]
