"""Comparison of detectors by paired differences of a metric on the same videos.

The errors of two detectors on the same videos are correlated, so their intervals may overlap
although one detector is significantly better. A paired bootstrap estimates the difference directly:
every resample draws the same clusters of videos (`clusters`) for all detectors.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from dfjax.data.index.records import read_index
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.bootstrap import PERCENTILES, Tables, draw_statistics
from dfjax.evaluation.class_scores import Figures
from dfjax.evaluation.clusters import describe_clusters
from dfjax.evaluation.metrics import RESAMPLES
from dfjax.evaluation.paired_scores import PairedScores, Source, pair_scores
from dfjax.evaluation.statistics import compute_statistics, split_classes

CELL = "padding:1px 8px;text-align:right;white-space:nowrap"


@dataclass(frozen=True, repr=False)
class Comparison:
    """Differences of a metric between detectors that scored the same videos.

    Attributes:
        table: One row per pair of detectors: `a b` (names), their values `value_a value_b`,
            `difference` (a minus b) with the bounds `low high` of its 95 % interval, and `p_value`.
            The p-values are not corrected for the number of pairs.
        metric: Name of the metric, as in `metrics.json`.
        videos: Number of videos that all detectors scored.
        left_out: Number of videos of each detector that some other detector did not score.
        resampled: Kind of the clusters: `group`, `origin_id`, `identity` or `video`.
        clusters: Number of clusters.
    """

    table: pd.DataFrame
    metric: str
    videos: int
    left_out: dict[str, int]
    resampled: str
    clusters: int

    def __repr__(self) -> str:
        """Returns the table, and how it was computed, as plain text."""
        shown = self.table.to_string(index=False, float_format="{:.3f}".format)
        return "\n".join([f"{self.metric} of {self.videos} videos", shown, *self._notes()])

    def _repr_html_(self) -> str:
        heads = "".join(f'<th style="{CELL}">{name}</th>' for name in self.table)
        lines = "".join(map(_draw_row, self.table.itertuples(index=False)))
        notes = "".join(f'<div style="opacity:.7">{escape(note)}</div>' for note in self._notes())
        return (
            '<div style="font-size:13px;line-height:1.5">'
            f"<div><b>{self.metric} of {self.videos} videos</b></div>"
            '<table style="border-collapse:collapse;font-size:inherit">'
            f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>{notes}</div>"
        )

    def _notes(self) -> list[str]:
        drawn = describe_clusters(self.resampled, self.clusters)
        notes = [f"difference: a minus b; 95 % intervals from paired resamples of {drawn}"]
        if len(self.table) > 1:
            notes.append(f"the p-values are not corrected for {len(self.table)} comparisons")
        for name, n in self.left_out.items():
            if n:
                notes.append(f"{n} videos of {name} are left out: another detector has no score")
        return notes


def compare(
    *sources: Source,
    split: str = "test",
    metric: str = "video_auc",
    index: str | os.PathLike[str] | None = None,
    names: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Returns the paired differences of a metric between two or more detectors.

    Only videos with a score of every detector are used. The p-value is two-sided: twice the share
    of resamples whose difference is zero or has the other sign (one resample is added to both
    counts), at most 1. It is consistent with the interval and at least 2 / (`resamples` + 1).

    Args:
        sources: For each detector a file or table of predictions, a report, or a workdir whose
            `eval/SPLIT/predictions.parquet` exists.
        split: Split of the workdirs.
        metric: Name of a metric that has intervals, for example `video_auc`, `ap` or `log_loss`.
        index: Index with the groups, recordings and identities of the videos; None to use the
            columns of the predictions.
        names: Names of the detectors; None for the names of the workdirs and files.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Raises:
        UsageError: The sources cannot be joined (`pair_scores`), or the metric is unknown or
            undefined on these videos.
    """
    known = read_index(Path(index)) if index is not None else None
    paired = pair_scores(sources, split=split, index=known, names=names)
    values = [_measure(probs, paired.labels, metric) for probs in paired.probs]
    drawn = _draw(paired, metric, resamples, seed)
    rows = [
        {"a": paired.names[a], "b": paired.names[b], "value_a": values[a], "value_b": values[b]}
        | {"difference": values[a] - values[b]}
        | _test_difference(drawn[a] - drawn[b])
        for a, b in itertools.combinations(range(len(values)), 2)
    ]
    return Comparison(
        table=pd.DataFrame(rows),
        metric=metric,
        videos=len(paired.labels),
        left_out=dict(zip(paired.names, paired.left_out)),
        resampled=paired.clusters.kind,
        clusters=paired.clusters.count,
    )


def _measure(probs: np.ndarray, labels: np.ndarray, metric: str) -> float:
    """Returns the metric of one detector."""
    figures = compute_statistics(split_classes(probs, labels))
    if metric not in figures:
        raise unknown("metric with intervals", metric, figures)
    value = float(figures[metric][0])
    if not np.isfinite(value):
        raise UsageError(f"{metric} is undefined: the {len(labels)} common videos have one class")
    return value


def _draw(paired: PairedScores, metric: str, resamples: int, seed: int) -> list[Figures]:
    """Returns the metric of every detector in every resample, which is the same for all of them."""
    everything = [np.ones(len(paired.labels), bool)]
    drawn = []
    for probs in paired.probs:
        tables = Tables(probs, paired.labels, everything)
        # The draws depend on the seed and the number of clusters only.
        (figures,) = draw_statistics(tables, paired.clusters.number, resamples=resamples, seed=seed)
        drawn.append(figures[metric])
    return drawn


def _test_difference(drawn: Figures) -> dict[str, float]:
    """Returns the percentile interval of a difference, and the p-value that inverts it."""
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.percentile(drawn, PERCENTILES)
    tail = int(min((drawn <= 0).sum(), (drawn >= 0).sum()))
    return {"low": low, "high": high, "p_value": min(1.0, 2.0 * (tail + 1) / (len(drawn) + 1))}


def _draw_row(row: tuple[object, ...]) -> str:
    cells = [f"{x:.3f}" if isinstance(x, float) else escape(str(x)) for x in row]
    return "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"
