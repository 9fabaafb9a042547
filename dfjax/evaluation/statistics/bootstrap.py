"""Bootstrap intervals of the statistics of several tables at once.

The tables (all videos, those of one data set, those of one manipulation with the reals of its data
set) are subsets of the same videos. Every resample is drawn once from all videos, and each table
uses its part of it, so that data shared by tables, such as the reals, are sorted and summed once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Integer

from dfjax.evaluation.statistics.class_scores import (
    ClassScores,
    Figures,
    Scores,
    SortedScores,
    Weights,
)
from dfjax.evaluation.statistics.weighted import Classes, LabelArray, compute_statistics

Mask = Bool[np.ndarray, "V"]
Counts = Integer[np.ndarray, "R N"]

PERCENTILES = (2.5, 97.5)
FEWEST = 0.5
"""Smallest share of resamples in which a metric must be defined to have an interval."""
CELLS = 500_000
"""Number of counts that are drawn at a time (4 MB), which limits the memory in use."""


class Tables:
    """Subsets of the same videos; tables with the same fakes or reals share their `ClassScores`."""

    def __init__(
        self,
        scores: Scores,
        labels: LabelArray,
        masks: Sequence[Mask],
        video: Int[np.ndarray, "N"] | None = None,
    ) -> None:
        """Finds the distinct classes of the tables.

        Args:
            scores: P(fake) of each video.
            labels: Label of each video.
            masks: Mask of the videos of each table.
            video: Number of the video that each score and label is of, where they are of frames or
                clips; None where they are of videos.
        """
        self._classes: dict[bytes, tuple[Int[np.ndarray, "M"], SortedScores]] = {}
        self._tables = []
        self._by_score = by_score = np.argsort(-scores, kind="stable")
        self._columns: tuple[Any, list[Int[np.ndarray, "M"]]] | None = None
        scores, labels = scores[by_score], labels[by_score]
        ordered, classes = by_score if video is None else video[by_score], (1, 0)
        of_label = {label: labels == label for label in classes}
        for mask in masks:
            keys, inside = [], mask[ordered]
            for label in classes:
                places = np.flatnonzero(inside & of_label[label])
                key = bytes([label]) + places.tobytes()
                if key not in self._classes:
                    self._classes[key] = (places, SortedScores(scores[places], label=label))
                keys.append(key)
            self._tables.append(keys)

    def weigh(
        self, weights: Counts | Weights | None = None, clusters: Int[np.ndarray, "V"] | None = None
    ) -> list[Classes]:
        """Returns the tables under R weightings of all videos.

        Args:
            weights: Weight of each cluster, one row per weighting; None for one row of ones.
            clusters: Number of the cluster of each video; None if each is a cluster of its own.
        """
        weights = np.ones((1, len(self._by_score))) if weights is None else weights
        built = {
            key: ClassScores(scores, np.take(weights, columns, axis=1).astype(np.float64))
            for (key, (_, scores)), columns in zip(self._classes.items(), self._find(clusters))
        }
        return [Classes(built[fakes], built[reals]) for fakes, reals in self._tables]

    def _find(self, clusters: Int[np.ndarray, "V"] | None) -> list[Int[np.ndarray, "M"]]:
        """Returns the columns of weights of each class; those of the last call are kept."""
        if self._columns is None or self._columns[0] is not clusters:
            order = self._by_score if clusters is None else clusters[self._by_score]
            self._columns = clusters, [order[places] for places, _ in self._classes.values()]
        return self._columns[1]


def draw_statistics(
    tables: Tables, clusters: Int[np.ndarray, "N"], *, resamples: int, seed: int
) -> list[dict[str, Figures]]:
    """Returns the statistics of each table in every resample, `f64[resamples]` by name.

    Args:
        tables: Tables to compute statistics of.
        clusters: Number of the cluster of each video, from 0; whole clusters are drawn.
        resamples: Number of resamples.
        seed: Seed of the draws.
    """
    parts: list[list[dict[str, Figures]]] = []
    for counts in resample(int(clusters.max(initial=-1)) + 1, resamples, seed=seed):
        parts.append([compute_statistics(table) for table in tables.weigh(counts, clusters)])
    return [
        {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
        for drawn in zip(*parts)
    ]


def compute_intervals(drawn: dict[str, Figures]) -> dict[str, list[float] | None]:
    """Returns `NAME_ci: [low, high]`, the 95 % percentile intervals of resampled statistics.

    Resamples in which a metric is undefined are left out. The interval of a metric that is
    undefined in more than half of the resamples is None.
    """
    intervals: dict[str, list[float] | None] = {}
    for name, values in drawn.items():
        defined = values[np.isfinite(values)]
        known = len(defined) and len(defined) >= FEWEST * len(values)
        intervals[f"{name}_ci"] = np.percentile(defined, PERCENTILES).tolist() if known else None
    return intervals


def resample(n: int, resamples: int, *, seed: int, cells: int = CELLS) -> Iterator[Counts]:
    """Yields blocks of rows with the number of times that each cluster is drawn in a resample.

    The counts have the smallest integer type that holds them, since memory limits the speed.

    Args:
        n: Number of clusters, and of draws in each resample.
        resamples: Number of resamples, which is the total number of rows.
        seed: Seed of the draws.
        cells: Number of counts in a block; the draws do not depend on it.
    """
    rng = np.random.default_rng(seed)
    step = max(1, cells // max(n, 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, n, (rows, n))
        drawn += n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        yield counts.astype(np.min_scalar_type(counts.max(initial=0)))
