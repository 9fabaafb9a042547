"""Rows of a table that a detector has no score for: counted, named and left out."""

from collections.abc import Iterable

import pandas as pd

from dfjax.evaluation.flags import Flag, make_flag

CODE = "no_score"


def leave_out(
    table: pd.DataFrame,
    scored: pd.Series,
    what: str,
    *,
    lacks: str = "have no score",
    code: str = CODE,
    severity: str = "error",
) -> tuple[pd.DataFrame, list[Flag]]:
    """Returns the rows with a score, and a flag that counts and names the others.

    Args:
        table: Predictions with the column `video_id`.
        scored: Mask of the rows with a score.
        what: Name of the table, for the message.
        lacks: What is the matter with the others, for the message.
        code: Code of the flag.
        severity: Severity of the flag.
    """
    if scored.all():
        return table, []
    ids = table.loc[~scored, "video_id"]
    message = f"{what}: {len(ids):,} of {len(table):,} rows {lacks} and are left out"
    kept = table[scored].reset_index(drop=True)
    return kept, [make_flag(code, severity, message, ids.dropna())]


def count_unscored(flags: Iterable[Flag]) -> int:
    """Returns the number of videos that flags name as left out."""
    return len({name for flag in flags if flag["code"] == CODE for name in flag["ids"]})
