"""Official splits completed: many data sets publish a list of test videos and nothing else."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dfjax.data.index.splits import PARTS, RATIOS, check_ratios, split_by_ratios
from dfjax.errors import UsageError

LEARNING = ("train", "val")


def complete_splits(
    index: pd.DataFrame, *, ratios: Sequence[float] = RATIOS, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Returns the split of each video, with train and val where the data set lacks them.

    Videos that are in an official test or validation split stay there. Without any official split
    all videos are split. Without `train`, the videos in no split go to train (and to val, where
    that is missing, too); without `val` only, a part of train becomes val. People are kept apart
    where that leaves both classes in every part, else groups (a real and its fakes).

    Args:
        index: One row per video.
        ratios: Shares of train, val and test.
        seed: Seed of the assignment.

    Returns:
        The splits, and sentences that say what was done.

    Raises:
        UsageError: impossible ratios, or no video to train on.
    """
    check_ratios(ratios)
    split = index["split"].to_numpy(dtype=object).copy()
    there = set(split) & set(PARTS)
    parts: tuple[str, ...] = LEARNING
    if there >= set(LEARNING):
        return split, []
    if not there:
        rows, parts = np.arange(len(index)), PARTS
    elif "train" in there:
        rows = np.flatnonzero(split == "train")
    else:
        rows = np.flatnonzero(split == "none")
        parts = tuple(part for part in LEARNING if part not in there)
        if not len(rows):
            return split, [f"no video is for training: all are in {', '.join(sorted(there))}"]
    shares = [share if part in parts else 0.0 for part, share in zip(PARTS, ratios)]
    if not sum(shares):
        raise UsageError(f"ratios leave nothing for {' and '.join(parts)}")
    split[rows], note = _assign(index.iloc[rows].reset_index(drop=True), parts, shares, seed)
    return split, [note]


def _assign(
    videos: pd.DataFrame, parts: Sequence[str], shares: Sequence[float], seed: int
) -> tuple[np.ndarray, str]:
    """Assigns by identity, or by group where identities leave a part without one of the classes."""
    wanted = sum(share > 0 for share in shares) * videos["label"].nunique()
    official = "" if len(parts) == len(PARTS) else ", the official ones kept"
    problem = ""
    for by in ("identity", "group"):
        try:
            split = split_by_ratios(videos, by=by, ratios=shares, seed=seed)
        except UsageError as error:
            problem = str(error)
            continue
        found = pd.Series(split).groupby(videos["label"].to_numpy()).nunique().sum()
        if by == "group" or found == wanted:
            apart = " (people cannot be kept apart)" if by == "group" and problem else ""
            return split, f"{', '.join(parts)} assigned by {by}{official}{apart}"
        problem = "a part lacks one of the classes"
    return np.full(len(videos), parts[0], dtype=object), f"all in {parts[0]}: {problem}"
