"""What rules look at, and the flags that they raise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TypedDict

import pandas as pd

from dfjax.evaluation.clusters import Clusters


class Flag(TypedDict):
    """One finding: `severity` is `info`, `warning` or `error`; `ids` are the videos concerned."""

    code: str
    severity: str
    message: str
    ids: list[str]


@dataclass(frozen=True)
class Evidence:
    """All that rules may look at.

    Attributes:
        predictions: the table as read, uncleaned.
        videos: one row per video with its score (`aggregation.aggregate`).
        metrics: `metrics.compute` of the table.
        clusters: What the intervals are drawn from, or None.
        index: index rows of the evaluated videos, or None when no index is known.
        train_index: index rows of the training videos, or None.
        history: `history.csv` of the run, or None.
        accepted: by column, what lies in several splits of the training data and was accepted.
    """

    predictions: pd.DataFrame
    videos: pd.DataFrame
    metrics: dict[str, float | list[float] | None]
    clusters: Clusters | None = None
    index: pd.DataFrame | None = None
    train_index: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    accepted: Mapping[str, Set[str]] = field(default_factory=dict)


def make_flag(code: str, severity: str, message: str, ids: Iterable[str] = ()) -> Flag:
    """Returns a flag, its ids sorted and each once."""
    return Flag(code=code, severity=severity, message=message, ids=sorted(set(ids)))
