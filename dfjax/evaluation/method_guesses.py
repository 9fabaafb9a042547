"""How well a detector with a second head tells the manipulations apart."""

from typing import Any

import pandas as pd

from dfjax import REAL
from dfjax.evaluation.aggregation import VIDEO, clean

PREFIX = "method_prob:"
"""Columns of predictions: what follows is the method whose probability they have."""


def measure_methods(predictions: pd.DataFrame) -> dict[str, Any] | None:
    """Returns `{"accuracy", "n", "confusion": {true: {guessed: videos}}}`; None: no such columns.

    A video's guess is the method of the largest probability, averaged over its rows. Videos of a
    method that the detector does not know do not count.
    """
    columns = [name for name in predictions if name.startswith(PREFIX)]
    if not columns:
        return None
    rows = clean(predictions)
    videos = rows.groupby(VIDEO, sort=False)
    guess = videos[columns].mean().idxmax(axis=1).str.removeprefix(PREFIX)
    true = videos["method"].first().where(videos["label"].first() != REAL, "real")
    kept = true.isin([name.removeprefix(PREFIX) for name in columns])
    true, guess = true[kept], guess[kept]
    confusion = pd.crosstab(true, guess)
    return {
        "accuracy": float((true == guess).mean()) if len(true) else None,
        "n": len(true),
        "confusion": {
            str(name): {str(k): int(n) for k, n in row.items() if n}
            for name, row in confusion.iterrows()
        },
    }
