"""Splits one can trust: whole components of connected videos, stratified, in hashed order.

The unit is never cut, so proportions are met as well as the units allow. The result depends on
the set of videos and the seed, not on the order of rows.
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
"""train, val, test: what must be apart. `none` is used by nothing and leaks nowhere."""

UNITS = {
    "group": ("pair", "group"),
    "identity": ("pair", "group", "identity"),
    "origin": ("pair", "group", "origin"),
}
"""What connects videos into one unit, by the name of what a split keeps together."""

RATIOS = (0.8, 0.1, 0.1)
STRATIFY = ("label", "method", "dataset")


class Repair(NamedTuple):
    """A repaired split: the column, and what was moved, each unit named by its smallest id."""

    split: np.ndarray
    moved: list[tuple[str, str, str]]  # unit, from, to
    videos: int  # how many of them changed sides


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
        index: one row per video.
        by: what is never cut, a name of `UNITS`.
        ratios: of train, val and test; zero leaves a part empty.
        stratify: columns whose combinations are spread in the same proportions.
        seed: another one gives another split.

    Raises:
        UsageError: an unknown name, impossible ratios, or fewer units than parts.
    """
    check_ratios(ratios)
    return np.asarray(PARTS, dtype=object)[_assign(index, by, ratios, stratify, seed)]


def check_ratios(ratios: Sequence[float]) -> None:
    """Raises a `UsageError` unless these are three shares of a whole."""
    if len(ratios) != len(PARTS) or min(ratios) < 0 or not 0 < sum(ratios) < float("inf"):
        raise UsageError("ratios are three shares that are not negative: train,val,test")


def assign_folds(
    index: pd.DataFrame,
    *,
    by: str,
    folds: int,
    stratify: Sequence[str] = STRATIFY,
    seed: int = 0,
) -> Int[np.ndarray, "N"]:
    """Returns the fold of each video, 0 to `folds` - 1, equally large as far as units allow.

    Raises:
        UsageError: as `split_by_ratios`, or fewer than 2 folds.
    """
    if folds < 2:
        raise UsageError(f"cross-validation needs at least 2 folds, not {folds}")
    return _assign(index, by, [1.0] * folds, stratify, seed)


def split_by_fold(fold: Int[np.ndarray, "N"], number: int, folds: int) -> np.ndarray:
    """Returns the split of each video in round `number` of cross-validation, counted from 1.

    The round's own fold is the test, the next one validates, the others train; over all rounds
    every video is tested once.

    Raises:
        UsageError: there is no such round, or fewer than 3 folds.
    """
    if folds < 3 or not 1 <= number <= folds:
        raise UsageError(f"fold {number}/{folds}: want 1/K to K/K with K of at least 3")
    split = np.full(len(fold), "train", dtype=object)
    split[fold == number % folds] = "val"
    split[fold == number - 1] = "test"
    return split


def split_by_round(index: pd.DataFrame, text: str) -> np.ndarray:
    """Returns the split of each video in round `N/K` of cross-validation (`split_by_fold`).

    By the folds of the index; without the column `fold` they are made by group, always the same.

    Raises:
        UsageError: not of that form, no such round, or the index has another number of folds.
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
    """Returns the index's own splits with what shares an origin (identity, group) on one side.

    Videos of one split that belong together (a real, its fakes, their people) move as one unit.
    Of connected units in different splits the fewest move; at a tie those with the fewest videos,
    and then towards train, so that nothing a published detector was trained on becomes a test
    video. Everything else, and split `none`, stays.

    Raises:
        UsageError: an unknown name, or no video is in a split.
    """
    if by not in UNITS:
        raise unknown("link to repair by", by, UNITS)
    split = index["split"].to_numpy(dtype=object).copy()
    used = np.flatnonzero(np.isin(split, PARTS))
    if not len(used):
        raise UsageError("the index has no official split: every video is in split none")
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
    """The split that the fewest units, then the fewest videos, have to move to."""

    def cost(part: str) -> tuple[int, int, int]:
        away = units[units["split"] != part]
        return len(away), int(away["videos"].sum()), PARTS.index(part)

    return min(units["split"].unique(), key=cost)


def _assign(
    index: pd.DataFrame, by: str, shares: Sequence[float], stratify: Sequence[str], seed: int
) -> Int[np.ndarray, "N"]:
    """Returns the part of each row: whole units, in the proportions of the shares."""
    if by not in UNITS:
        raise unknown("unit to split by", by, ("official", *UNITS))
    unit = find_components(index, UNITS[by])
    n_units = int(unit.max()) + 1 if len(unit) else 0
    wanted = sum(share > 0 for share in shares)
    if n_units < wanted:
        raise UsageError(
            f"by {by} there are only {n_units} units of connected videos for {wanted} parts; "
            "choose fewer parts, or split by something else"
        )
    counts = _count_strata(index, unit, stratify)
    names = name_components(index, unit)
    hashes = [hashlib.sha256(f"{seed}:{n}".encode(errors="replace")).hexdigest() for n in names]
    # Large ones first, while there is room for them everywhere; sizes of one power of two mix.
    magnitude = np.floor(np.log2(counts.sum(1)))
    order = sorted(range(n_units), key=lambda u: (-magnitude[u], hashes[u]))
    return assign_units(counts, np.asarray(shares, np.float64), order)[unit]


def _count_strata(
    index: pd.DataFrame, unit: Component, stratify: Sequence[str]
) -> Float[np.ndarray, "U K"]:
    """Returns how many videos of each stratum a unit has."""
    scalars = [name for name in index.columns if name not in ("identities", "donor_ids")]
    for name in stratify:
        if name not in scalars:
            raise unknown("column to stratify by", name, scalars)
    columns = [index[name].astype(str) for name in stratify]
    stratum = pd.factorize(pd.MultiIndex.from_arrays(columns))[0] if columns else unit * 0
    counts = np.zeros((int(unit.max()) + 1, int(stratum.max()) + 1))
    np.add.at(counts, (unit, stratum), 1.0)
    return counts
