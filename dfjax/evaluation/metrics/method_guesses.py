"""The accuracy of a method head, which classifies the manipulation."""

from typing import Any

import pandas as pd

from dfjax import REAL
from dfjax.evaluation.videos.aggregation import VIDEO, clean

PREFIX = "method_prob:"
"""Prefix of the columns with the probability of a method; the method's name follows it."""


def measure_methods(predictions: pd.DataFrame) -> dict[str, Any] | None:
    """Returns `{"accuracy", "n", "confusion": {true: {predicted: videos}}}` of the method head.

    The predicted method of a video is the one with the largest mean probability over its rows.
    Videos of methods that are no class of the head are left out. The result is None for predictions
    without columns of method probabilities.
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
