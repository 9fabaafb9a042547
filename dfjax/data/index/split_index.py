"""Assigns new splits or folds to the videos of an index file, or repairs its splits."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfjax.console import one_line
from dfjax.data.faces.recipe import make_metadata, read_crop_recipe
from dfjax.data.index import splits
from dfjax.data.index.complete_splits import complete_splits
from dfjax.data.index.components import find_components
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import read_index, write_index
from dfjax.errors import UsageError
from dfjax.outputs import check_outputs
from dfjax.results import Result

LARGE_UNIT = 0.5  # share of the videos in one unit above which the ratios cannot be met

Move = tuple[str, str, str]  # name of the unit, old split, new split


@dataclasses.dataclass(frozen=True)
class SplitReport(Result):
    """Summary of an index with new splits.

    Attributes:
        index: Index file.
        column: Name of the assigned column, `split` or `fold`.
        table: Number of videos by method (rows) and split or fold (columns), with totals.
        videos: Number of rows.
        changed: Number of videos whose split has changed.
        moved: Units that a repair has moved: name, old split and new split.
        notes: Sentences for the user.
    """

    index: Path
    column: str
    table: pd.DataFrame
    videos: int
    changed: int
    moved: list[Move]
    notes: list[str]

    def describe(self) -> list[str]:
        """Returns the numbers of videos as a table of plain text, and what a repair has moved."""
        return [
            *self.table.rename(index=one_line).to_string().splitlines(),
            *(
                f"moved {old} -> {new}: {unit} and what belongs to it"
                for unit, old, new in self.moved
            ),
            f"{self.index}: {self.videos} videos, {self.changed} in another split than before",
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as `dfjax data split --json` prints them."""
        counts = self.table.loc["all"].drop("all")
        return {
            "index": str(self.index),
            "videos": self.videos,
            self.column + "s": {str(name): int(n) for name, n in counts.items()},
            "changed": self.changed,
            "moved": [{"unit": u, "from": a, "to": b} for u, a, b in self.moved],
        }


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
    """Writes an index with new splits.

    Args:
        index: Index to split.
        out: Index to write.
        by: Kind of unit that stays in one split (`group`, `identity` or `origin`), `official` to
            keep the splits of the index, or `complete` to keep them and to assign train and val if
            they are missing. None with `fold`.
        ratios: Relative sizes of train, val and test. The default is 0.8, 0.1, 0.1.
        stratify: Columns whose combinations have the same proportions in all splits. The default is
            label, method and dataset.
        seed: Seed of the order in which units are assigned. The default is 0.
        folds: Number of folds of cross-validation, to assign the column `fold` instead of splits.
        fold: `N/K`, to take the splits of round N of cross-validation with K folds.
        repair: Kind of unit (`origin`, `identity` or `group`) that is moved to one split if it is
            in several. It requires `by="official"`.
        command: Command to record in the metadata of the index.

    Raises:
        UsageError: Arguments exclude each other, or the splits are impossible.
    """
    assigning = {"ratios": ratios, "stratify": stratify, "seed": seed, "folds": folds}
    given = [name for name, value in assigning.items() if value is not None]
    notes = _check(by, fold, repair, given)
    source, out = Path(index), Path(out)
    check_outputs([out], inputs=[index])
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
    if "pack_row" in after:  # the records of the pack are stored by their old splits
        after = after.drop(columns="pack_row")
        notes.append("pack the crops again to train on the new splits")
    after = rebase_frames(after, source.parent, out.parent)
    write_index(after, out, command=command, metadata=make_metadata(read_crop_recipe(source)))
    changed = int((before["split"] != after["split"]).sum())
    column = "split" if folds is None else "fold"
    return SplitReport(out, column, _count(after, column), len(after), changed, moved, notes)


def _count(index: pd.DataFrame, column: str) -> pd.DataFrame:
    table = pd.crosstab(index["method"], index[column], margins=True, margins_name="all")
    if column == "fold":
        return table
    return table[[name for name in ("train", "val", "test", "none", "all") if name in table]]


def _check(by: str | None, fold: str | None, repair: str | None, given: list[str]) -> list[str]:
    """Checks that arguments do not exclude each other; returns a note on those without effect."""
    if (by is None) == (fold is None):
        raise UsageError(
            "give either by (official, complete, group, identity or origin) or fold (N/K)"
        )
    if repair and by != "official":
        raise UsageError("repair requires by=official; other values of by divide no units")
    if "ratios" in given and "folds" in given:
        raise UsageError("ratios cannot be combined with folds, which have equal sizes")
    if given and (fold or (by == "official" and "folds" in given)):
        where = "fold" if fold else "by=official"
        raise UsageError(f"{given[-1]} cannot be combined with {where}, which assigns no units")
    if by == "complete" and {"folds", "stratify"} & {*given}:
        raise UsageError("by=complete cannot be combined with folds or stratify")
    if given and by == "official":
        return [f"by=official keeps the splits, so these have no effect: {', '.join(given)}"]
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
    """Returns a note if most videos are connected, such as by many face swaps per person."""
    if by not in splits.UNITS or not len(index):
        return []
    largest = np.bincount(find_components(index, splits.UNITS[by])).max() / len(index)
    if largest <= LARGE_UNIT:
        return []
    return [
        f"one unit of connected videos has {largest:.0%} of all videos, so the ratios cannot be "
        f"met; units may be smaller with another value of by than {by}"
    ]
