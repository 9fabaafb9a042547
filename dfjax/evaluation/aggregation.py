"""From frames and clips to one score per video: the ways the field does it, each by its name.

A video is a (dataset, video_id), never the name of a folder: FaceForensics++ has a `000_003` under
every manipulation, and pooling them turns a video AUC of 0.80 into 0.87.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dfjax.errors import unknown

VIDEO = ["dataset", "video_id"]
KEY = [*VIDEO, "unit", "position", "face"]
UNITS = ("video", "clip", "frame")  # coarsest first: a video's own score outranks its frames'


def clean(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows that metrics may use: finite scores, each key once (its first row)."""
    finite = predictions[np.isfinite(predictions["fake_prob"])]
    return finite.drop_duplicates(KEY, keep="first")


def aggregate(predictions: pd.DataFrame, how: str = "mean") -> pd.DataFrame:
    """Returns one row per video: `dataset video_id label method fake_prob`, sorted.

    Where a video has rows of several units, its coarsest unit alone counts.

    Args:
        predictions: a cleaned table (`clean`).
        how: an entry of `AGGREGATIONS`.

    Raises:
        UsageError: unknown `how`.
    """
    if how not in AGGREGATIONS:
        raise unknown("aggregation", how, AGGREGATIONS)
    rows = coarsest(predictions)
    videos = rows.groupby(VIDEO, sort=True)
    table = videos[["label", "method"]].first()
    table["fake_prob"] = AGGREGATIONS[how](rows)
    return table.reset_index()


def coarsest(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of each video's coarsest unit, in the order of their keys.

    Sorted, so that no result depends on the order of rows, not even in its last digit.
    """
    rank = predictions["unit"].map({unit: i for i, unit in enumerate(UNITS)})
    lowest = rank.groupby([predictions[name] for name in VIDEO]).transform("min")
    return predictions[rank == lowest].sort_values(KEY)


def _mean(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby(VIDEO)["fake_prob"].mean()


def _median(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby(VIDEO)["fake_prob"].median()


def _max(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby(VIDEO)["fake_prob"].max()


def _face_max(rows: pd.DataFrame) -> pd.Series:
    """Most suspicious face of each frame, then the mean over frames (Shiohara & Yamasaki 2022)."""
    frames = rows.groupby([*VIDEO, "position"])["fake_prob"].max()
    return frames.groupby(VIDEO).mean()


def _confident(rows: pd.DataFrame) -> pd.Series:
    """The strategy of the DFDC challenge's winner (Seferbekov 2020): trust a confident minority."""
    return rows.groupby(VIDEO)["fake_prob"].agg(confident_score)


def confident_score(probs: pd.Series) -> float:
    """Returns the mean of the confident fakes, or of the confident reals, or of everything.

    Fakes (above 0.8) decide when they are more than 11 and more than 1 in 2.5; reals (below 0.2)
    when they are more than 9 in 10.
    """
    values = probs.to_numpy()
    fakes, reals = values[values > 0.8], values[values < 0.2]
    if len(fakes) > len(values) / 2.5 and len(fakes) > 11:
        return float(fakes.mean())
    if len(reals) > 0.9 * len(values):
        return float(reals.mean())
    return float(values.mean())


AGGREGATIONS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "mean": _mean,
    "median": _median,
    "max": _max,
    "face_max": _face_max,
    "confident": _confident,
}
