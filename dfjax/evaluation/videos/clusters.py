"""Clusters of dependent videos, which the bootstrap resamples.

Videos of one recording or person have similar scores. Resampling single videos would treat them as
independent, and the intervals would be too narrow; whole clusters are resampled instead (Field and
Welsh, 2007). The clusters are given by the first of these columns in which at least two of the
evaluated videos have the same value:

1. `group`, which must never cross a split and which includes all videos of a recording;
2. `origin_id`, the recording that a video was cut or made from;
3. `identity`, the person shown, which is the first of the `identities` of the index. A fake also
   depends on the donor, but clusters by both persons often connect a whole data set.

Where no column does, and without an index, single videos are resampled.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from dfjax.evaluation.videos.aggregation import VIDEO, VideoScores

COLUMNS = ("group", "origin_id", "identity")
VIDEOS = "video"
PLURALS = {
    "group": "groups of videos",
    "origin_id": "recordings",
    "identity": "persons",
    VIDEOS: "videos",
}


@dataclass(frozen=True)
class Clusters:
    """A division of videos into clusters.

    Attributes:
        kind: One of `COLUMNS`, or `video` where every video is a cluster of its own.
        names: Name of the cluster of each video; None for a video that is a cluster of its own.
        number: Number of the cluster of each video, from 0.
    """

    kind: str
    names: pd.Series
    number: Int[np.ndarray, "V"]

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.number.max(initial=-1)) + 1


def find_clusters(scores: VideoScores, index: pd.DataFrame | None = None) -> Clusters:
    """Returns the clusters of the videos, by the rules in the docstring of this module.

    Args:
        scores: Videos; their rows may have the columns `COLUMNS`.
        index: Index of the videos, whose values are used before those of the rows; None for no
            index.
    """
    videos = scores.videos
    known = _find_index_rows(videos, index)
    for kind in COLUMNS:
        names = _name_videos(scores, kind, known)
        number = _number(names)
        if 1 < len(np.unique(number)) < len(videos):
            return Clusters(kind, names.where(names.notna(), None), number)
    return Clusters(VIDEOS, pd.Series(None, videos.index, dtype="object"), np.arange(len(videos)))


def find_identities(scores: VideoScores, index: pd.DataFrame | None = None) -> pd.Series:
    """Returns the person shown in each video, or None, by the rules of `find_clusters`.

    Args:
        scores: Videos; their rows may have the column `identity`.
        index: Index of the videos, or None.
    """
    return _name_videos(scores, "identity", _find_index_rows(scores.videos, index))


def _name_videos(scores: VideoScores, kind: str, known: pd.DataFrame | None) -> pd.Series:
    """Returns the name of the cluster of each video, of one kind.

    Args:
        scores: Videos; their rows may have the column `kind`.
        kind: One of `COLUMNS`.
        known: Index row of each video, or None.
    """
    videos = scores.videos
    names = pd.Series(None, videos.index, dtype="object")
    if kind in scores.rows:
        first = np.zeros(len(videos), np.int64)
        first[scores.video[::-1]] = np.arange(len(scores.video))[::-1]
        names = pd.Series(scores.rows[kind].to_numpy(object)[first], videos.index)
    if known is not None and _source(kind) in known:
        names = known[_source(kind)].map(_get_name).astype("object").fillna(names)
    return names


def describe_clusters(kind: str, count: int) -> str:
    """Returns the number of clusters in words, for example `140 groups of videos`."""
    first, space, rest = PLURALS[kind].partition(" ")
    return f"{count:,} {first.removesuffix('s') if count == 1 else first}{space}{rest}"


def count_videos(count: int) -> str:
    """Returns a number of videos in words."""
    return f"{count} video{'' if count == 1 else 's'}"


def name_clusters(
    predictions: pd.DataFrame, scores: VideoScores, clusters: Clusters
) -> pd.DataFrame:
    """Returns the table with a column that names the cluster of each row.

    The column is called like the kind of the clusters, so that a later evaluation of the table
    finds the same clusters without the index.
    """
    if clusters.kind == VIDEOS:
        return predictions
    names = scores.videos[VIDEO].assign(**{clusters.kind: clusters.names})
    others = predictions.drop(columns=clusters.kind, errors="ignore")
    return others.merge(names, on=VIDEO, how="left")


def _find_index_rows(videos: pd.DataFrame, index: pd.DataFrame | None) -> pd.DataFrame | None:
    """Returns the index row of each video; rows of videos that are not in the index are null."""
    if index is None:
        return None
    rows = index.drop_duplicates("video_id").set_index("video_id").reindex(videos["video_id"])
    return rows.set_axis(videos.index)


def _source(kind: str) -> str:
    """Returns the column of the index that contains the clusters of a kind."""
    return "identities" if kind == "identity" else kind


def _get_name(value: object) -> str | None:
    """Returns a name, the first of a list of names, or None where there is none."""
    if isinstance(value, list | tuple | np.ndarray):
        value = value[0] if len(value) else None
    return value if isinstance(value, str) and value else None


def _number(names: pd.Series) -> Int[np.ndarray, "V"]:
    """Returns the number of each name, from 0; each missing name has a number of its own."""
    number, distinct = pd.factorize(names)
    alone = number < 0
    number[alone] = len(distinct) + np.arange(alone.sum())
    return number
