"""Leak-free splits: whole components of connected videos are assigned, stratified.

A unit (component) is never divided, so proportions are met as closely as the units allow. The
result depends on the set of videos and on the seed, but not on the order of rows.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dfjax.data.index.components import LINKS, Component, connect, find_components, name_components
from dfjax.data.index.records import SPLITS
from dfjax.data.index.stratify import assign_units
from dfjax.errors import UsageError, unknown

PARTS = SPLITS[:3]
"""Splits that must not leak into each other. Videos of the split `none` are not used."""

UNITS = {
    "group": ("pair", "group"),
    "identity": ("pair", "group", "identity"),
    "origin": ("pair", "group", "origin"),
}
"""Kinds of units that stay in one split, with the links that connect their videos."""

RATIOS = (0.8, 0.1, 0.1)
STRATIFY = ("label", "method", "dataset")


class Repair(NamedTuple):
    """A repaired split.

    Attributes:
        split: Split of every video.
        moved: Units that were moved: the smallest `video_id`, old split, new split.
        videos: Number of videos whose split has changed.
    """

    split: np.ndarray
    moved: list[tuple[str, str, str]]
    videos: int


def split_by_ratios(
    index: pd.DataFrame,
    *,
    by: str,
    ratios: Sequence[float] = RATIOS,
    stratify: Sequence[str] = STRATIFY,
    seed: int = 0,
) -> np.ndarray:
    """Returns the split of each video: `train`, `val` or `test`, in the proportions `ratios`.

    Args:
        index: Index with one row per video.
        by: Kind of unit that stays in one split, a name in `UNITS`.
        ratios: Relative sizes of train, val and test; 0 leaves a split empty.
        stratify: Columns whose combinations have the same proportions in all splits.
        seed: Seed of the order in which units are assigned.

    Raises:
        UsageError: A name is unknown, the ratios are invalid, or there are fewer units than splits.
    """
    check_ratios(ratios)
    return np.asarray(PARTS, dtype=object)[_assign(index, by, ratios, stratify, seed)]


def check_ratios(ratios: Sequence[float]) -> None:
    """Checks the ratios of a split.

    Raises:
        UsageError: They are not three non-negative numbers with a positive sum.
    """
    if len(ratios) != len(PARTS) or min(ratios) < 0 or not 0 < sum(ratios) < float("inf"):
        raise UsageError("ratios must be three non-negative numbers: train,val,test")


def assign_folds(
    index: pd.DataFrame,
    *,
    by: str,
    folds: int,
    stratify: Sequence[str] = STRATIFY,
    seed: int = 0,
) -> Int[np.ndarray, "N"]:
    """Returns the fold of each video, 0 to `folds` - 1, of equal size as far as units allow.

    Args:
        index: Index with one row per video.
        by: Kind of unit that stays in one fold, a name in `UNITS`.
        folds: Number of folds, at least 2.
        stratify: Columns whose combinations have the same proportions in all folds.
        seed: Seed of the order in which units are assigned.

    Raises:
        UsageError: A name is unknown, or there are fewer than 2 folds, or fewer units than folds.
    """
    if folds < 2:
        raise UsageError(f"cross-validation needs at least 2 folds, not {folds}")
    return _assign(index, by, [1.0] * folds, stratify, seed)


def split_by_fold(fold: Int[np.ndarray, "N"], number: int, folds: int) -> np.ndarray:
    """Returns the split of each video in one round of cross-validation.

    In round N the N-th fold is the test set, the next fold is the validation set, and the others
    are for training. Over all rounds every video is tested once.

    Args:
        fold: Fold of each video, counted from 0.
        number: Number of the round, counted from 1.
        folds: Number of folds, at least 3.

    Raises:
        UsageError: There is no such round, or there are fewer than 3 folds.
    """
    if folds < 3 or not 1 <= number <= folds:
        raise UsageError(f"fold {number}/{folds} must be 1/K to K/K with K of at least 3")
    split = np.full(len(fold), "train", dtype=object)
    split[fold == number % folds] = "val"
    split[fold == number - 1] = "test"
    return split


def split_by_round(index: pd.DataFrame, text: str) -> np.ndarray:
    """Returns the split of each video in a round of cross-validation (see `split_by_fold`).

    The folds are those of the index. Without the column `fold` they are assigned by group, which
    always gives the same folds.

    Args:
        index: Index with one row per video.
        text: Round and number of folds, `N/K`.

    Raises:
        UsageError: `text` does not have that form, there is no such round, or the index has
            another number of folds.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match:
        raise UsageError(f"fold {text!r} is not of the form N/K, such as 2/5")
    number, folds = int(match[1]), int(match[2])
    if "fold" not in index:
        return split_by_fold(assign_folds(index, by="group", folds=folds), number, folds)
    fold = index["fold"].to_numpy()
    if folds != int(fold.max()) + 1:
        raise UsageError(f"the index has {int(fold.max()) + 1} folds, not {folds}")
    return split_by_fold(fold, number, folds)


def repair(index: pd.DataFrame, by: str = "origin") -> Repair:
    """Returns the splits of the index, changed so that no origin (identity, group) is in two.

    Videos of one split that are connected by pairs or people move as one unit. Of connected units
    in different splits, the smallest number of units moves; ties are broken by the number of
    videos, and then in favour of train, so that videos that a published detector was trained on do
    not become test videos. All other videos, and those of the split `none`, keep their splits.

    Args:
        index: Index with one row per video.
        by: Kind of unit to repair by, a name in `UNITS`.

    Raises:
        UsageError: The name is unknown, or no video is in a split.
    """
    if by not in UNITS:
        raise unknown("link to repair by", by, UNITS)
    split = index["split"].to_numpy(dtype=object).copy()
    used = np.flatnonzero(np.isin(split, PARTS))
    if not len(used):
        raise UsageError("the index has no official split: every video is in the split none")
    videos = index.iloc[used].reset_index(drop=True)
    before = split[used]
    unit = find_components(videos, ("pair", "identity"), within=before)
    whole = connect(len(videos), [(np.arange(len(videos)), unit), LINKS[by](videos)])
    units = pd.DataFrame({"unit": unit, "whole": whole, "split": before})
    units = units.groupby("unit").agg(
        whole=("whole", "first"), split=("split", "first"), videos=("split", "size")
    )
    names = name_components(videos, unit)
    moved, target = [], dict(zip(units.index, units["split"]))
    crossing = units.groupby("whole").filter(lambda rows: rows["split"].nunique() > 1)
    for _, rows in crossing.groupby("whole"):
        goal = _cheapest(rows)
        for number, origin in zip(rows.index, rows["split"]):
            if origin != goal:
                target[number] = goal
                moved.append((names[number], origin, goal))
    split[used] = [target[number] for number in unit]
    return Repair(split, sorted(moved), int((split[used] != before).sum()))


def _cheapest(units: pd.DataFrame) -> str:
    """Returns the split to which the fewest units, and then the fewest videos, must move."""

    def cost(part: str) -> tuple[int, int, int]:
        away = units[units["split"] != part]
        return len(away), int(away["videos"].sum()), PARTS.index(part)

    return min(units["split"].unique(), key=cost)


def _assign(
    index: pd.DataFrame, by: str, shares: Sequence[float], stratify: Sequence[str], seed: int
) -> Int[np.ndarray, "N"]:
    """Returns the number of the part of each row; whole units, in the proportions of `shares`."""
    if by not in UNITS:
        raise unknown("unit to split by", by, ("official", *UNITS))
    unit = find_components(index, UNITS[by])
    n_units = int(unit.max()) + 1 if len(unit) else 0
    wanted = sum(share > 0 for share in shares)
    if n_units < wanted:
        raise UsageError(
            f"by {by} there are only {n_units} units of connected videos for {wanted} parts; "
            "choose fewer parts or another kind of unit"
        )
    counts = _count_strata(index, unit, stratify)
    names = name_components(index, unit)
    hashes = [hashlib.sha256(f"{seed}:{n}".encode(errors="replace")).hexdigest() for n in names]
    # Large units come first, while all parts have room; within a power of two, order is hashed.
    magnitude = np.floor(np.log2(counts.sum(1)))
    order = sorted(range(n_units), key=lambda u: (-magnitude[u], hashes[u]))
    return assign_units(counts, np.asarray(shares, np.float64), order)[unit]


def _count_strata(
    index: pd.DataFrame, unit: Component, stratify: Sequence[str]
) -> Float[np.ndarray, "U K"]:
    """Returns the number of videos of each unit in each stratum."""
    scalars = [name for name in index.columns if name not in ("identities", "donor_ids")]
    for name in stratify:
        if name not in scalars:
            raise unknown("column to stratify by", name, scalars)
    columns = [index[name].astype(str) for name in stratify]
    stratum = pd.factorize(pd.MultiIndex.from_arrays(columns))[0] if columns else unit * 0
    counts = np.zeros((int(unit.max()) + 1, int(stratum.max()) + 1))
    np.add.at(counts, (unit, stratum), 1.0)
    return counts
