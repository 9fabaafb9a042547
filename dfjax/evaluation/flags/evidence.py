"""The types of the rules: the evidence that they take and the flags that they return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dfjax.evaluation.videos.clusters import Clusters


class Flag(TypedDict):
    """A finding; `severity` is `info`, `warning` or `error`, `ids` are the videos concerned."""

    code: str
    severity: str
    message: str
    ids: list[str]


@dataclass(frozen=True)
class Evidence:
    """An evaluation, with information about its videos and its detector.

    Attributes:
        predictions: Table as it was read, with all its rows.
        videos: One row per video with its score (`aggregation.aggregate`).
        metrics: Metrics of the table (`metrics.compute`).
        clusters: Clusters that are resampled, or None.
        index: Index rows of the evaluated videos, or None where there is no index.
        train_index: Index rows of the training videos, or None.
        history: Table `history.csv` of the run, or None.
        accepted: Values that occur in several splits of the training data and were accepted for
            training, by column of the index.
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
    """Returns a flag with sorted, distinct ids."""
    return Flag(code=code, severity=severity, message=message, ids=sorted(set(ids)))


def describe_rows(mask: Bool[np.ndarray, "N"] | pd.Series) -> str:
    """Returns the numbers of the first rows of a mask in words; the first row of a table is 1."""
    rows = np.flatnonzero(np.asarray(mask)) + 1
    first = ", ".join(map(str, rows[:3]))
    more = f" and {len(rows) - 3:,} more" if len(rows) > 3 else ""
    return f"row{'s' if len(rows) > 1 else ''} {first}{more}"
