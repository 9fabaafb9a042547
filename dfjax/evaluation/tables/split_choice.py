"""The choice of the rows of one split of a table of predictions: `test` if nothing is said."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

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


def choose_split(predictions: pd.DataFrame, split: str | None) -> SplitRows:
    """Returns the rows of a split; without one those of `test`, or all if there is one split only.

    Args:
        predictions: Table with the column `split`.
        split: Name of the split, `all` for all rows, or None.

    Raises:
        UsageError: No row has the split, or there are several of which none is `test`.
    """
    counts = predictions["split"].value_counts().sort_index()
    found = ", ".join(counts.index)
    if split == ALL or (split is None and len(counts) < 2 and TEST not in counts):
        return SplitRows(predictions, None, [])
    if split is None and TEST not in counts:
        raise UsageError(
            f"the predictions have the splits {found} and none is {TEST!r}: name the split, or "
            f"{ALL!r} for all rows"
        )
    chosen = split or TEST
    if chosen not in counts:
        raise UsageError(f"no prediction has split {split!r}; their splits are: {found}")
    if len(counts) == 1:
        return SplitRows(predictions, chosen, [])
    rows = predictions[predictions["split"] == chosen].reset_index(drop=True)
    if split:
        return SplitRows(rows, chosen, [])
    others = ", ".join(f"{name} {n:,}" for name, n in counts.items() if name != chosen)
    message = (
        f"the {len(rows):,} rows of split {TEST!r} are evaluated, not those of other splits "
        f"({others}); the split {ALL!r} is all rows"
    )
    severity = "warning" if UNKNOWN in counts else "info"
    return SplitRows(rows, chosen, [make_flag("split_chosen", severity, message)])
