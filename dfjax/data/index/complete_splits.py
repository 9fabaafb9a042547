"""Completes official splits, because many data sets publish a list of test videos only."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dfjax.data.index.splits import PARTS, RATIOS, check_ratios, split_by_ratios
from dfjax.errors import UsageError

LEARNING = ("train", "val")
"""Splits that are assigned where the data set lacks them."""


def complete_splits(
    index: pd.DataFrame, *, ratios: Sequence[float] = RATIOS, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Returns the split of each video, and notes for the user.

    The splits train and val are added if the data set lacks them:

    - Without any official split, all videos are assigned.
    - Without `train`, the videos that are in no split are assigned to train, and to val if that is
      missing, too.
    - Without `val` only, a part of train is assigned to val.

    All other videos keep their official split. Videos are assigned by identity if every split then
    has both classes, and otherwise by group (a real video and its fakes).

    Args:
        index: Index with one row per video.
        ratios: Relative sizes of train, val and test.
        seed: Seed of the assignment.

    Raises:
        UsageError: The ratios are invalid, or are 0 for all splits to assign.
    """
    check_ratios(ratios)
    split = index["split"].to_numpy(dtype=object).copy()
    official = set(split) & set(PARTS)
    parts: tuple[str, ...] = LEARNING
    if official >= set(LEARNING):
        return split, []
    if not official:
        rows, parts = np.arange(len(index)), PARTS
    elif "train" in official:
        rows = np.flatnonzero(split == "train")
    else:
        rows = np.flatnonzero(split == "none")
        parts = tuple(part for part in LEARNING if part not in official)
        if not len(rows):
            return split, [
                f"no video is left for training: all are in {', '.join(sorted(official))}"
            ]
    shares = [share if part in parts else 0.0 for part, share in zip(PARTS, ratios)]
    if not sum(shares):
        raise UsageError(f"the ratios of {' and '.join(parts)} must not all be 0")
    split[rows], note = _assign(index.iloc[rows].reset_index(drop=True), parts, shares, seed)
    return split, [note]


def _assign(
    videos: pd.DataFrame, parts: Sequence[str], shares: Sequence[float], seed: int
) -> tuple[np.ndarray, str]:
    """Returns the split of each video and a note on how the videos were assigned.

    Args:
        videos: Index of the videos to assign.
        parts: Names of the splits to assign.
        shares: Relative sizes of train, val and test, 0 for splits that are not assigned.
        seed: Seed of the assignment.
    """
    wanted = sum(share > 0 for share in shares) * videos["label"].nunique()
    kept = "" if len(parts) == len(PARTS) else "; the official splits are kept"
    problem = ""
    for by in ("identity", "group"):
        try:
            split = split_by_ratios(videos, by=by, ratios=shares, seed=seed)
        except UsageError as error:
            problem = str(error)
            continue
        found = pd.Series(split).groupby(videos["label"].to_numpy()).nunique().sum()
        if by == "group" or found == wanted:
            people = "; people may be in several splits" if by == "group" and problem else ""
            return split, f"{', '.join(parts)} assigned by {by}{kept}{people}"
        problem = "a split would lack one of the classes"
    note = f"all videos are assigned to {parts[0]}: {problem}"
    return np.full(len(videos), parts[0], dtype=object), note
