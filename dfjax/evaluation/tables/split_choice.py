"""The choice of the rows of one split of a table of predictions: `test` if nothing is said."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dfjax.errors import UsageError
from dfjax.evaluation.flags import Flag, make_flag

TEST, VALIDATION, ALL = "test", "val", "all"
UNKNOWN = "none"
"""The default split, the one on which thresholds and checkpoints are chosen, and no choice; and the
name of the split of rows that have none."""


class SplitRows(NamedTuple):
    """The rows of one split.

    Attributes:
        rows: Rows of the split, or all rows.
        split: Name of the split; None for all rows.
        flags: A flag that names the splits that are left out, where nothing was said.
    """

    rows: pd.DataFrame
    split: str | None
    flags: list[Flag]


class SplitMask(NamedTuple):
    """As `SplitRows`, with a mask of the rows."""

    mask: Bool[np.ndarray, "N"]
    split: str | None
    flags: list[Flag]


def choose_split(predictions: pd.DataFrame, split: str | None) -> SplitRows:
    """Returns the rows of a split; without one those of `test`, or all if there is one split only.

    Args:
        predictions: Table with the column `split`.
        split: Name of the split, `all` for all rows, or None.

    Raises:
        UsageError: No row has the split, or there are several of which none is `test`.
    """
    mask, chosen, flags = find_split(predictions, split)
    rows = predictions if mask.all() else predictions[mask].reset_index(drop=True)
    return SplitRows(rows, chosen, flags)


def find_split(predictions: pd.DataFrame, split: str | None) -> SplitMask:
    """Returns a mask of the rows of `choose_split`."""
    counts = predictions["split"].value_counts().sort_index()
    found = ", ".join(counts.index)
    if split == ALL or (split is None and len(counts) < 2 and TEST not in counts):
        return SplitMask(np.ones(len(predictions), bool), None, [])
    if split is None and TEST not in counts:
        raise UsageError(
            f"the predictions have the splits {found} and none is {TEST!r}: name the split, or "
            f"{ALL!r} for all rows"
        )
    chosen = split or TEST
    if chosen not in counts:
        raise UsageError(f"no prediction has split {split!r}; their splits are: {found}")
    mask = (predictions["split"] == chosen).to_numpy()
    if split or len(counts) == 1:
        return SplitMask(mask, chosen, [])
    others = ", ".join(f"{name} {n:,}" for name, n in counts.items() if name != chosen)
    message = (
        f"the {mask.sum():,} rows of split {TEST!r} are evaluated, not those of other splits "
        f"({others}); the split {ALL!r} is all rows"
    )
    severity = "warning" if UNKNOWN in counts else "info"
    return SplitMask(mask, chosen, [make_flag("split_chosen", severity, message)])
