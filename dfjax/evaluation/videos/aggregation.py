"""Aggregation of the scores of frames and clips to one score per video.

A video is identified by (dataset, video_id), never by the name of a folder: FaceForensics++ has a
`000_003` for every manipulation, and averaging over them turns a video AUC of 0.80 into 0.87.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.special import expit, logit

from dfjax.errors import unknown

VIDEO = ["dataset", "video_id"]
KEY = [*VIDEO, "unit", "position", "face"]
UNITS = ("video", "clip", "frame")  # coarsest first; finer rows of the same video are not used

MOST_LOGIT = 30.0  # of a probability that is 1 - 1e-13; infinite logits have no mean
LOGIT_TOLERANCE = 0.01
"""Largest difference between fake_prob and the probability of its logit; rounding is below it."""

Values = Float[np.ndarray, "V"]


@dataclass(frozen=True)
class VideoScores:
    """A predictions table prepared for metrics.

    Attributes:
        rows: Usable rows of the table (`clean`).
        video: Position in `videos` of the video of each row.
        videos: One row per video, sorted: `dataset video_id label method`, `fake_prob` (the mean),
            and `fake_prob_HOW` for every other entry of `AGGREGATIONS`.
    """

    rows: pd.DataFrame
    video: Int[np.ndarray, "N"]
    videos: pd.DataFrame


class SortedRows(NamedTuple):
    """Rows of the coarsest unit of each video, sorted by video, position and face.

    Because of the sorting, results do not depend on the order of rows, not even in the last digit.

    Attributes:
        place: Positions of these rows in the original table.
        video: Number of the video of each row, ascending.
        position: Frame index or clip start of each row.
        probs: P(fake) of each row.
        logits: Its logit, between -`MOST_LOGIT` and `MOST_LOGIT`.
    """

    place: Int[np.ndarray, "N"]
    video: Int[np.ndarray, "N"]
    position: Int[np.ndarray, "N"]
    probs: Float[np.ndarray, "N"]
    logits: Float[np.ndarray, "N"]


def clean(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows with a finite score, without repeated keys (the first row is kept)."""
    return _clean(predictions)[0]


def _clean(
    predictions: pd.DataFrame,
) -> tuple[pd.DataFrame, Int[np.ndarray, "N"], pd.DataFrame]:
    """Returns the rows of `clean`, the video number of each, and the ids of a number."""
    rows = predictions[np.isfinite(predictions["fake_prob"])]
    video, videos = number_videos(rows)
    first = ~find_repeated(rows, video)
    return (rows, video, videos) if first.all() else (rows[first], video[first], videos)


def find_repeated(
    table: pd.DataFrame, video: Int[np.ndarray, "N"] | None = None
) -> Bool[np.ndarray, "N"]:
    """Returns a mask of the rows that repeat the key of an earlier row.

    Args:
        table: Table with the columns `KEY`.
        video: Number of the video of each row, where it is known (`number_videos`).
    """
    video = number_videos(table)[0] if video is None else video
    unit = pd.factorize(table["unit"])[0]
    columns = {"video": video, "unit": unit} | {name: table[name] for name in KEY[3:]}
    return pd.DataFrame(columns).duplicated().to_numpy()


def score_videos(predictions: pd.DataFrame) -> VideoScores:
    """Returns the scores of all videos of a table, in every aggregation."""
    rows, video, videos = _clean(predictions)
    ordered = _sort(rows, video)
    videos = _describe(videos, rows, ordered)
    for how, function in AGGREGATIONS.items():
        videos["fake_prob" if how == "mean" else f"fake_prob_{how}"] = function(ordered)
    return VideoScores(rows, video, videos)


def aggregate(predictions: pd.DataFrame, how: str = "mean") -> pd.DataFrame:
    """Returns one row per video: `dataset video_id label method fake_prob`, sorted.

    Where a video has rows of several units, only its coarsest unit is used.

    Args:
        predictions: Table of usable rows (`clean`).
        how: Name of the aggregation, a key of `AGGREGATIONS`.

    Raises:
        UsageError: `how` is unknown.
    """
    if how not in AGGREGATIONS:
        raise unknown("aggregation", how, AGGREGATIONS)
    video, videos = number_videos(predictions)
    ordered = _sort(predictions, video)
    return _describe(videos, predictions, ordered).assign(fake_prob=AGGREGATIONS[how](ordered))


def coarsest(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of the coarsest unit of each video, sorted by their keys."""
    video, _ = number_videos(predictions)
    return predictions.iloc[_sort(predictions, video).place]


def number_videos(table: pd.DataFrame) -> tuple[Int[np.ndarray, "N"], pd.DataFrame]:
    """Returns the video number of each row, and a table with the `dataset video_id` of a number."""
    dataset, datasets = pd.factorize(table["dataset"], sort=True)
    name, names = pd.factorize(table["video_id"], sort=True)
    pairs, video = np.unique(dataset * max(len(names), 1) + name, return_inverse=True)
    columns = {"dataset": datasets, "video_id": names}
    places = np.divmod(pairs, max(len(names), 1))
    return video, pd.DataFrame({k: values[at] for (k, values), at in zip(columns.items(), places)})


def _sort(table: pd.DataFrame, video: Int[np.ndarray, "N"]) -> SortedRows:
    codes, units = pd.factorize(table["unit"])
    rank = np.array([UNITS.index(unit) for unit in units], np.int64)[codes]
    lowest = np.full(video.max(initial=-1) + 1, len(UNITS))
    np.minimum.at(lowest, video, rank)
    kept = np.flatnonzero(rank == lowest[video])
    position, face = (table[name].to_numpy(np.int64)[kept] for name in ("position", "face"))
    order = np.lexsort((face, position, video[kept]))
    place = kept[order]
    probs = table["fake_prob"].to_numpy(np.float64)[place]
    written = table["logit"].to_numpy(np.float64)[place] if "logit" in table else None
    return SortedRows(place, video[place], position[order], probs, _find_logits(probs, written))


def _find_logits(
    probs: Float[np.ndarray, "N"], written: Float[np.ndarray, "N"] | None
) -> Float[np.ndarray, "N"]:
    """Returns the logits of a table where they are those of its probabilities, else computed ones.

    Logits that are written tell probabilities apart that are rounded to 1.
    """
    with np.errstate(divide="ignore"):
        logits = logit(probs)
    if written is not None:
        logits = np.where(np.abs(expit(written) - probs) <= LOGIT_TOLERANCE, written, logits)
    return np.clip(logits, -MOST_LOGIT, MOST_LOGIT)


def _describe(videos: pd.DataFrame, rows: pd.DataFrame, ordered: SortedRows) -> pd.DataFrame:
    """Returns `videos` with the label and method of the first row of each video."""
    first = rows[["label", "method"]].iloc[ordered.place[_starts(ordered.video)]]
    return videos.assign(label=first["label"].to_numpy(), method=first["method"].to_numpy())


def _starts(*columns: Int[np.ndarray, "N"]) -> Int[np.ndarray, "G"]:
    """Returns the positions at which a new combination of values of sorted columns begins."""
    new = np.zeros(len(columns[0]), bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def average(probs: Float[np.ndarray, "N"], video: Int[np.ndarray, "N"]) -> Values:
    """Returns the mean score of each video.

    Args:
        probs: P(fake) of rows, sorted by video, position and face.
        video: Number of the video of each row.
    """
    return pd.Series(probs).groupby(video).mean().to_numpy()


def _mean(rows: SortedRows) -> Values:
    return average(rows.probs, rows.video)


def _mean_logit(rows: SortedRows) -> Values:
    """Probability of the mean logit (Bonettini et al. 2020)."""
    return expit(pd.Series(rows.logits).groupby(rows.video).mean().to_numpy())


def _median(rows: SortedRows) -> Values:
    return pd.Series(rows.probs).groupby(rows.video).median().to_numpy()


def _max(rows: SortedRows) -> Values:
    return pd.Series(rows.probs).groupby(rows.video).max().to_numpy()


def _face_max(rows: SortedRows) -> Values:
    """Mean over frames of the largest score of a face (Shiohara and Yamasaki 2022)."""
    starts = _starts(rows.video, rows.position)
    frames = np.maximum.reduceat(rows.probs, starts) if len(starts) else rows.probs
    return pd.Series(frames).groupby(rows.video[starts]).mean().to_numpy()


def _confident(rows: SortedRows) -> Values:
    """Mean over confident scores if there are enough of them, otherwise over all scores.

    The rule of the winner of the DFDC challenge (Seferbekov 2020). The mean is over the scores
    above 0.8 if they are more than 11 and more than 40 % of all; otherwise over the scores below
    0.2 if they are more than 90 % of all; otherwise over all scores.
    """
    videos = pd.Series(rows.probs).groupby(rows.video)
    n = videos.size()
    means = videos.mean()
    chosen = []
    for confident in (rows.probs < 0.2, rows.probs > 0.8):
        some = pd.Series(rows.probs[confident]).groupby(rows.video[confident])
        chosen.append((some.size().reindex(n.index, fill_value=0), some.mean().reindex(n.index)))
    (reals, of_reals), (fakes, of_fakes) = chosen
    means = of_reals.where(reals > 0.9 * n, means)
    return of_fakes.where((fakes > n / 2.5) & (fakes > 11), means).to_numpy()


AGGREGATIONS: dict[str, Callable[[SortedRows], Values]] = {
    "mean": _mean,
    "mean_logit": _mean_logit,
    "median": _median,
    "max": _max,
    "face_max": _face_max,
    "confident": _confident,
}
