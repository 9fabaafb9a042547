"""Metrics of a predictions table: `compute(predictions) -> {"video_auc": …, …}`.

AUC, AP, EER and the metrics of verdicts are computed on videos, whose score is the mean `fake_prob`
of their rows. Variants that published tables use have their own names. A metric that is undefined
for the rows (a class is missing, or there are no rows of the unit) is None.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dfjax.evaluation.metrics.named_metrics import Frozen, measure_verdicts, name_metrics
from dfjax.evaluation.statistics import weighted
from dfjax.evaluation.statistics.bootstrap import Tables, compute_intervals, draw_statistics
from dfjax.evaluation.statistics.class_scores import Figures
from dfjax.evaluation.videos.aggregation import AGGREGATIONS, VideoScores, score_videos
from dfjax.evaluation.videos.clusters import Clusters, find_clusters

Value = float | list[float] | None
Metrics = dict[str, Value]
Key = TypeVar("Key", bound=Hashable)

RESAMPLES = 1000
VARIANTS = [how for how in AGGREGATIONS if how != "mean"]


def compute(predictions: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> Metrics:
    """Returns every metric of `predictions`, each a number or None, and `NAME_ci` intervals.

    Rows without a finite score, and repetitions of a key, are left out. Clusters are resampled
    where the table has a column that names them (`clusters.COLUMNS`), otherwise videos.

    Args:
        predictions: Table with the columns `predictions.COLUMNS`.
        resamples: Number of bootstrap resamples for the 95 % intervals; 0 gives no intervals.
        seed: Seed of the resampling.
    """
    scores = score_videos(predictions)
    everything = np.ones(len(scores.videos), bool)
    return compute_tables(scores, {"all": everything}, resamples=resamples, seed=seed)["all"]


def compute_tables(
    scores: VideoScores,
    tables: Mapping[Key, Bool[np.ndarray, "V"]],
    *,
    clusters: Clusters | None = None,
    intervals: Collection[Key] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    frozen: Frozen | None = None,
) -> dict[Key, Metrics]:
    """Returns the metrics of several subsets of the same videos, by name.

    All tables are resampled together; see `bootstrap`.

    Args:
        scores: Videos and their scores.
        tables: Mask of `scores.videos` for each table.
        clusters: Clusters that are resampled; None for those that the rows define
            (`find_clusters`).
        intervals: Names of the tables with intervals; None for all of them.
        resamples: Number of bootstrap resamples for the 95 % intervals; 0 gives no intervals.
        seed: Seed of the resampling.
        frozen: Threshold that was chosen on other videos, or None.
    """
    videos, masks = scores.videos, list(tables.values())
    labels = videos["label"].to_numpy(np.int64)
    cut_scores = videos["fake_prob"].to_numpy(np.float64)
    cut = Tables(cut_scores, labels, masks)
    found: list[Metrics] = [{} for _ in masks]
    for unit in ("frame", "clip"):
        for metrics, auc in zip(found, _unit_aucs(scores, masks, unit)):
            metrics[f"{unit}_auc"] = auc
    ascending = np.lexsort((labels, cut_scores))
    for metrics, table, mask in zip(found, cut.weigh(), masks):
        places = ascending[mask[ascending]]
        verdicts = measure_verdicts(cut_scores[places], labels[places], frozen)
        metrics |= _numbers(weighted.compute_statistics(table))
        named = name_metrics(table) | verdicts
        metrics |= {name: _number(value) for name, value in named.items()}
    for how in VARIANTS:
        aggregated = Tables(videos[f"fake_prob_{how}"].to_numpy(), labels, masks)
        for metrics, table in zip(found, aggregated.weigh()):
            metrics[f"video_auc_{how}"] = _auc(table)
    measured = dict(zip(tables, found))
    chosen = [name for name in tables if intervals is None or name in intervals]
    if resamples and len(videos) and chosen:
        number = (clusters or find_clusters(scores)).number
        part = cut if intervals is None else Tables(cut_scores, labels, [tables[n] for n in chosen])
        drawn = draw_statistics(part, number, resamples=resamples, seed=seed)
        for name, values in zip(chosen, drawn):
            measured[name] |= compute_intervals(values)
    return measured


def roc(videos: pd.DataFrame) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the false-positive and true-positive rates of videos; None if there is one class.

    Args:
        videos: One row per video with its `label` and `fake_prob` (`aggregation.aggregate`).
    """
    labels = videos["label"].to_numpy(np.int64)
    if len(np.unique(labels)) < 2:
        return None
    fpr, tpr = weighted.rates(
        weighted.split_classes(videos["fake_prob"].to_numpy(np.float64), labels)
    )
    return fpr[0], tpr[0]


def macro_mean(tables: list[Metrics]) -> Metrics:
    """Returns the unweighted mean of each metric over tables; None if it is undefined in one."""
    names = [n for n in (tables[0] if tables else {}) if not n.endswith("_ci")]
    means: Metrics = {}
    for name in names:
        values = [table.get(name) for table in tables]
        numbers = [v for v in values if isinstance(v, float)]
        means[name] = float(np.mean(numbers)) if len(numbers) == len(values) else None
    return means


def _unit_aucs(
    scores: VideoScores, masks: list[Bool[np.ndarray, "V"]], unit: str
) -> list[float | None]:
    """Returns the AUC of each table over its rows of one unit, without aggregation to videos."""
    chosen = (scores.rows["unit"] == unit).to_numpy(bool)
    if not chosen.any():
        return [None] * len(masks)
    rows, video = scores.rows[chosen], scores.video[chosen]
    labels = rows["label"].to_numpy(np.int64)
    tables = Tables(rows["fake_prob"].to_numpy(np.float64), labels, masks, video)
    return [_auc(table) for table in tables.weigh()]


def _auc(table: weighted.Classes) -> float | None:
    return _number(weighted.auc(weighted.RocSteps(table))[0])


def _numbers(figures: dict[str, Figures]) -> Metrics:
    return {name: _number(values[0]) for name, values in figures.items()}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
