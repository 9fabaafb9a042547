"""Metrics of a predictions table: `compute(predictions) -> {"video_auc": …, …}`.

AUC, AP, EER and everything thresholded are on videos, whose score is the mean `fake_prob` of their
rows; variants that published tables use have their own names. A metric that the rows do not define
(a class missing, no such unit) is None.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from dfjax.evaluation import statistics
from dfjax.evaluation.aggregation import AGGREGATIONS, aggregate, clean

Value = float | list[float] | None
Metrics = dict[str, Value]

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles
FPR_LIMITS = {"tpr_at_fpr_01": 0.01, "tpr_at_fpr_10": 0.10}


def compute(predictions: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> Metrics:
    """Returns every metric of `predictions`, each a number or None, and `NAME_ci` intervals.

    Rows without a finite score, and repeated keys after their first row, do not count.

    Args:
        predictions: a table with the columns of CONTRACTS.
        resamples: bootstrap resamples of videos for the 95 % intervals; 0: no intervals.
        seed: of the resampling.
    """
    rows = clean(predictions)
    videos = aggregate(rows)
    metrics: Metrics = {
        "frame_auc": _auc(rows[rows["unit"] == "frame"]),
        "clip_auc": _auc(rows[rows["unit"] == "clip"]),
    }
    scores, labels = _arrays(videos)
    if not len(scores):
        return metrics | dict.fromkeys(_video_names())
    ones = np.ones((1, len(scores)))
    figures = statistics.compute_statistics(scores, labels, ones)
    metrics |= {name: _number(values[0]) for name, values in figures.items()}
    metrics |= _variants(rows, videos)
    if resamples:
        metrics |= compute_intervals(scores, labels, resamples=resamples, seed=seed)
    return metrics


def compute_intervals(
    scores: statistics.Scores, labels: statistics.LabelArray, *, resamples: int, seed: int
) -> Metrics:
    """Returns `NAME_ci: [low, high]`, 95 % percentile intervals over resamples of videos.

    A resample in which a metric is undefined is left out; a metric undefined in all has None.
    """
    drawn = [
        statistics.compute_statistics(scores, labels, counts)
        for counts in statistics.resample(len(scores), resamples, seed=seed)
    ]
    intervals: Metrics = {}
    for name in drawn[0]:
        values = np.concatenate([part[name] for part in drawn])
        values = values[np.isfinite(values)]
        intervals[f"{name}_ci"] = (
            [float(v) for v in np.percentile(values, INTERVAL)] if len(values) else None
        )
    return intervals


def roc(videos: pd.DataFrame) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns (false-positive rates, true-positive rates) of one row per video; None: one class."""
    scores, labels = _arrays(videos)
    if len(np.unique(labels)) < 2:
        return None
    ones = np.ones((1, len(scores)))
    fpr, tpr = statistics.RankCounts(scores, labels, ones).rates()
    return fpr[0], tpr[0]


def macro_mean(tables: list[Metrics]) -> Metrics:
    """Returns the unweighted mean of each metric over `tables`; None where any lacks it."""
    names = [n for n in (tables[0] if tables else {}) if not n.endswith("_ci")]
    means: Metrics = {}
    for name in names:
        values = [table.get(name) for table in tables]
        numbers = [v for v in values if isinstance(v, float)]
        means[name] = float(np.mean(numbers)) if len(numbers) == len(values) else None
    return means


def _variants(rows: pd.DataFrame, videos: pd.DataFrame) -> Metrics:
    """Other conventions of published tables, each under the name of its convention."""
    scores, labels = _arrays(videos)
    ones = np.ones((1, len(scores)))
    ranks = statistics.RankCounts(scores, labels, ones)
    reals_first = statistics.RankCounts(-scores, 1 - labels, ones)
    both = statistics.average_precision(ranks) + statistics.average_precision(reals_first)
    variants: Metrics = {"eer_nearest": _number(statistics.eer_nearest(ranks)[0])}
    variants["map_ovr"] = _number(both[0] / 2)
    for name, limit in FPR_LIMITS.items():
        variants[name] = _number(statistics.tpr_at_fpr(ranks, limit)[0])
    for how in AGGREGATIONS:
        if how != "mean":
            variants[f"video_auc_{how}"] = _auc(aggregate(rows, how))
    return variants


def _video_names() -> list[str]:
    one = statistics.compute_statistics(np.zeros(1), np.zeros(1, int), np.ones((1, 1)))
    return [*one, "eer_nearest", "map_ovr", *FPR_LIMITS] + [
        f"video_auc_{how}" for how in AGGREGATIONS if how != "mean"
    ]


def _auc(rows: pd.DataFrame) -> float | None:
    scores, labels = _arrays(rows)
    if not len(scores):
        return None
    ones = np.ones((1, len(scores)))
    return _number(statistics.auc(statistics.RankCounts(scores, labels, ones))[0])


def _arrays(table: pd.DataFrame) -> tuple[statistics.Scores, statistics.LabelArray]:
    return table["fake_prob"].to_numpy(np.float64), table["label"].to_numpy(np.int64)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
