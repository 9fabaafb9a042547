"""AUC of a detector under corruptions, and the area under the curve over levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfjax.evaluation.metrics.video_metrics import compute
from dfjax.evaluation.statistics.bootstrap import Tables, compute_intervals, draw_statistics
from dfjax.evaluation.videos.aggregation import VIDEO, VideoScores, score_videos
from dfjax.evaluation.videos.clusters import find_clusters

RESAMPLES = 1000


def measure_curve(
    predictions: Sequence[pd.DataFrame], index: pd.DataFrame, *, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Returns the AUC at each level and the area under them, with intervals.

    All levels are resampled together, by clusters of videos, so that the interval of the area
    respects that they are of the same videos.

    Args:
        predictions: Predictions at each level, the first of which is without corruption.
        index: Index of the videos.
        resamples: Number of resamples.
    """
    levels = [score_videos(table) for table in predictions]
    check_same_videos(levels)
    labels = levels[0].videos["label"].to_numpy(np.int64)
    clusters = find_clusters(levels[0], index).number
    everything = [np.ones(len(labels), bool)]
    drawn = []
    for level in levels:
        table = Tables(level.videos["fake_prob"].to_numpy(np.float64), labels, everything)
        (values,) = draw_statistics(table, clusters, resamples=resamples, seed=0)
        drawn.append(values["video_auc"])
    aucs = [compute(table, resamples=0)["video_auc"] for table in predictions]
    intervals = [compute_intervals({"auc": values})["auc_ci"] for values in drawn]
    known = all(isinstance(value, float) for value in aucs)
    loss = compute_intervals({"loss": drawn[0] - compute_area(drawn)})["loss_ci"]
    return {
        "video_auc": aucs,
        "video_auc_ci": intervals,
        "area": float(compute_area(np.array(aucs, np.float64))) if known else None,
        "area_ci": compute_intervals({"area": compute_area(drawn)})["area_ci"],
        "loss_ci": loss,
        "videos": len(labels),
    }


def compute_area(curve: Any) -> Any:
    """Returns the area under AUCs at equally spaced levels by the trapezoid rule, per level."""
    values = np.asarray(curve, np.float64)
    return np.trapezoid(values, axis=0) / (len(values) - 1)


def check_same_videos(levels: Sequence[VideoScores]) -> None:
    """Checks that all levels have scores of the same videos."""
    first = levels[0].videos[VIDEO]
    assert all(first.equals(level.videos[VIDEO]) for level in levels), "videos differ"


def tabulate_curves(curves: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Returns one row per corruption and level: `corruption level value video_auc low high`."""
    rows = []
    for name, curve in curves.items():
        values = [None, *curve["values"]]
        for level, (value, auc, interval) in enumerate(
            zip(values, curve["video_auc"], curve["video_auc_ci"])
        ):
            low, high = interval or (None, None)
            rows.append((name, level, value, auc, low, high))
    columns = ["corruption", "level", "value", "video_auc", "video_auc_low", "video_auc_high"]
    return pd.DataFrame(rows, columns=columns)
