"""Pairs of real videos and fakes made from them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from dfjax import REAL
from dfjax.errors import UsageError

Rows = Int[np.ndarray, "_"]


class Pairs(NamedTuple):
    """Pairs of real videos and fakes made from them.

    Attributes:
        real: Row of the real video of each pair.
        fake: Row of the fake of each pair.
        alone: Rows of the videos that are in no pair.
    """

    real: Rows
    fake: Rows
    alone: Rows


def find_pairs(index: pd.DataFrame, rows: Rows) -> Pairs:
    """Returns the pairs of fakes and the real videos that their `pair_id` names.

    Both videos of a pair are in `rows`, so that pairs do not cross splits.

    Args:
        index: Index with one row per video.
        rows: Rows of the videos that may be paired.
    """
    place = {index["video_id"].iloc[row]: row for row in rows}
    partner = index["pair_id"].iloc[rows].map(place)
    paired = partner.notna().to_numpy()
    fake, real = np.asarray(rows)[paired], partner[paired].to_numpy(np.int64)
    return Pairs(real, fake, np.setdiff1d(rows, np.concatenate([real, fake])))


def find_targets(index: pd.DataFrame, rows: Rows) -> Int[np.ndarray, "n 2"]:
    """Returns pairs (row of a target, row of its source) for the training of a generator.

    A fake is the source of its real video. A real video without a fake is its own source, so that
    a generator learns to leave real clips as they are. Fakes without their real video, and pairs
    without a common frame, are left out.

    Args:
        index: Index with one row per video, with `frame_indices`.
        rows: Rows of the videos that may be used.

    Raises:
        UsageError: There is no pair.
    """
    pairs, frames = find_pairs(index, rows), index["frame_indices"]
    common = [
        (real, fake)
        for real, fake in zip(pairs.real, pairs.fake)
        if len(np.intersect1d(frames.iloc[real], frames.iloc[fake]))
    ]
    if not common:
        raise UsageError(
            "a generator needs fakes whose pair_id names a real video of the same split with the "
            "same frames, and there is none"
        )
    reals = pairs.alone[index["label"].to_numpy()[pairs.alone] == REAL]
    return np.array([*common, *((row, row) for row in reals)], np.int64)
