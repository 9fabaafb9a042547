"""A new split, folds, or a repaired split for the videos of an index file."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dfjax.data.faces.recipe import make_metadata, read_crop_recipe
from dfjax.data.index import splits
from dfjax.data.index.complete_splits import complete_splits
from dfjax.data.index.components import find_components
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import read_index, write_index
from dfjax.errors import UsageError

LARGE_UNIT = 0.5  # share of the videos in one unit from which ratios cannot be met

Move = tuple[str, str, str]  # unit, from, to


@dataclasses.dataclass(frozen=True)
class SplitReport:
    """What the new index holds.

    Attributes:
        index: The new index.
        column: `split`, or `fold` for cross-validation.
        table: Number of videos by method (rows) and split or fold (columns), with sums.
        videos: Number of its rows.
        changed: Number of videos in another split than before.
        moved: What a repair moved: the unit's name, its old and its new split.
        notes: Sentences for the user.
    """

    index: Path
    column: str
    table: pd.DataFrame
    videos: int
    changed: int
    moved: list[Move]
    notes: list[str]


def split_index(
    index: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    by: str | None = None,
    ratios: Sequence[float] | None = None,
    stratify: Sequence[str] | None = None,
    seed: int | None = None,
    folds: int | None = None,
    fold: str | None = None,
    repair: str | None = None,
    command: str = "dfjax data split",
) -> SplitReport:
    """Writes an index whose videos are split anew.

    Args:
        index: Index to split.
        out: Index to write.
        by: What stays together: `group`, `identity` or `origin`; `official` keeps the splits of the
            index; `complete` keeps them and assigns train and val where they are missing. None with
            `fold`.
        ratios: Shares of train, val and test; default 0.8, 0.1, 0.1.
        stratify: Columns whose combinations are spread in the same proportions; default label,
            method and dataset.
        seed: Seed of the order in which units are assigned; default 0.
        folds: Number of folds of cross-validation, written to the column `fold` instead.
        fold: `N/K`, takes the splits of round N of an index with K folds.
        repair: With `by="official"`: `origin`, `identity` or `group`, which no two splits may share
            afterwards.
        command: Origin to record in the metadata of the index.

    Raises:
        UsageError: arguments that exclude each other, or splits that cannot be made.
    """
    assigning = {"ratios": ratios, "stratify": stratify, "seed": seed, "folds": folds}
    given = [name for name, value in assigning.items() if value is not None]
    notes = _check(by, fold, repair, given)
    source, out = Path(index), Path(out)
    before = read_index(source)
    moved: list[Move] = []
    if fold:
        after = before.assign(split=splits.split_by_round(before, fold))
    elif by == "official":
        after, moved = _keep(before, repair)
    elif by == "complete":
        split, more = complete_splits(before, ratios=ratios or splits.RATIOS, seed=seed or 0)
        after, notes = before.assign(split=split), notes + more
    else:
        assert by is not None, "_check refuses None without fold"
        notes += _find_large_unit(before, by)
        after = _assign(before, by, ratios, stratify, seed or 0, folds)
    if "pack_row" in after:  # the records of the pack keep their old splits
        after = after.drop(columns="pack_row")
        notes.append("to train on the new splits, pack the crops again")
    after = rebase_frames(after, source.parent, out.parent)
    metadata = make_metadata(read_crop_recipe(source))
    write_index(after, out, command=command, metadata=metadata)
    changed = int((before["split"] != after["split"]).sum())
    column = "split" if folds is None else "fold"
    return SplitReport(out, column, _count(after, column), len(after), changed, moved, notes)


def _count(index: pd.DataFrame, column: str) -> pd.DataFrame:
    table = pd.crosstab(index["method"], index[column], margins=True, margins_name="all")
    if column == "fold":
        return table
    return table[[name for name in ("train", "val", "test", "none", "all") if name in table]]


def _check(by: str | None, fold: str | None, repair: str | None, given: list[str]) -> list[str]:
    """Refuses arguments that exclude each other; returns a note on those without effect."""
    if (by is None) == (fold is None):
        raise UsageError(
            "split by official, complete, group, identity or origin (or give fold, N/K)"
        )
    if repair and by != "official":
        raise UsageError("repair goes with by=official; the others cut nothing apart")
    if "ratios" in given and "folds" in given:
        raise UsageError("folds are equally large: leave ratios out")
    if given and (fold or (by == "official" and "folds" in given)):
        where = "fold" if fold else "by=official"
        raise UsageError(f"{given[-1]} does not go with {where}, which assigns nothing anew")
    if by == "complete" and {"folds", "stratify"} & {*given}:
        raise UsageError("by=complete takes ratios and seed only")
    if given and by == "official":
        return [f"by=official assigns nothing anew: no use for {', '.join(given)}"]
    return []


def _assign(
    index: pd.DataFrame,
    by: str,
    ratios: Sequence[float] | None,
    stratify: Sequence[str] | None,
    seed: int,
    folds: int | None,
) -> pd.DataFrame:
    columns = splits.STRATIFY if stratify is None else tuple(stratify)
    if folds is not None:
        fold = splits.assign_folds(index, by=by, folds=folds, stratify=columns, seed=seed)
        return index.assign(fold=fold)
    shares = splits.RATIOS if ratios is None else ratios
    split = splits.split_by_ratios(index, by=by, ratios=shares, stratify=columns, seed=seed)
    return index.assign(split=split)


def _keep(index: pd.DataFrame, repair: str | None) -> tuple[pd.DataFrame, list[Move]]:
    if not index["split"].isin(splits.PARTS).any():
        raise UsageError("the index has no official split: every video is in split none")
    if repair is None:
        return index, []
    repaired = splits.repair(index, repair)
    return index.assign(split=repaired.split), repaired.moved


def _find_large_unit(index: pd.DataFrame, by: str) -> list[str]:
    """Returns a note where most videos are one unit: each person is forged onto many others."""
    if by not in splits.UNITS or not len(index):
        return []
    largest = np.bincount(find_components(index, splits.UNITS[by])).max() / len(index)
    if largest <= LARGE_UNIT:
        return []
    return [
        f"one unit of connected videos holds {largest:.0%} of them, so the ratios cannot be met; "
        f"splitting by something else than {by} may allow more"
    ]
