"""What a bootstrap resample draws: groups of videos that depend on each other, or single videos.

Videos of one recording or person get similar scores. Intervals from resamples of single videos take
them for independent and are too narrow, so whole clusters are drawn instead (Field and Welsh,
2007). The clusters are, in this order, those of

1. `group`, which the index declares must never cross a split: whoever made the index knows best
   what belongs together, and a group holds all videos of a recording;
2. `origin_id`, the recording that a video was cut from or made from;
3. `identity`, the person shown, which is the first of the index's `identities`. A fake also depends
   on the person whose face was put in; no division into clusters can state both, and people and
   their donors often connect a whole data set;

the first that puts at least two of the evaluated videos together. An index that knows nothing has
each video's own id as its `group`; then, and without an index, single videos are drawn.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from dfjax.evaluation.aggregation import VIDEO, VideoScores

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
        names: Name of each video's cluster; None for a video without one, a cluster of its own.
        number: Number of each video's cluster, counted from 0.
    """

    kind: str
    names: pd.Series
    number: Int[np.ndarray, "V"]

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.number.max(initial=-1)) + 1


def find_clusters(scores: VideoScores, index: pd.DataFrame | None = None) -> Clusters:
    """Returns the clusters of the videos: see the module.

    Args:
        scores: The videos; their table may have columns of the names in `COLUMNS`.
        index: Index of the videos, which outranks the table. None: only the table is looked at.
    """
    videos = scores.videos
    first = np.zeros(len(videos), np.int64)
    first[scores.video[::-1]] = np.arange(len(scores.video))[::-1]
    known = _find_index_rows(videos, index)
    for kind in COLUMNS:
        names = pd.Series(None, videos.index, dtype="object")
        if kind in scores.rows:
            names = pd.Series(scores.rows[kind].to_numpy(object)[first], videos.index)
        if known is not None and _source(kind) in known:
            names = known[_source(kind)].map(_get_name).astype("object").fillna(names)
        number = _number(names)
        if 1 < len(np.unique(number)) < len(videos):
            return Clusters(kind, names.where(names.notna(), None), number)
    return Clusters(VIDEOS, pd.Series(None, videos.index, dtype="object"), np.arange(len(videos)))


def describe_clusters(kind: str, count: int) -> str:
    """Returns how many clusters there are, for example `140 groups of videos`."""
    return f"{count:,} {PLURALS[kind]}"


def name_clusters(
    predictions: pd.DataFrame, scores: VideoScores, clusters: Clusters
) -> pd.DataFrame:
    """Returns the table with a column, called as the clusters' kind, of each row's cluster.

    With it, whoever evaluates the table later draws the same clusters without the index.
    """
    if clusters.kind == VIDEOS:
        return predictions
    names = scores.videos[VIDEO].assign(**{clusters.kind: clusters.names})
    others = predictions.drop(columns=clusters.kind, errors="ignore")
    return others.merge(names, on=VIDEO, how="left")


def _find_index_rows(videos: pd.DataFrame, index: pd.DataFrame | None) -> pd.DataFrame | None:
    """The index row of each video, null where it has none."""
    if index is None:
        return None
    rows = index.drop_duplicates("video_id").set_index("video_id").reindex(videos["video_id"])
    return rows.set_axis(videos.index)


def _source(kind: str) -> str:
    """The column of the index that has a kind of cluster."""
    return "identities" if kind == "identity" else kind


def _get_name(value: object) -> str | None:
    """A name, or the first of a list of names; None where there is none."""
    if isinstance(value, list | tuple | np.ndarray):
        value = value[0] if len(value) else None
    return value if isinstance(value, str) and value else None


def _number(names: pd.Series) -> Int[np.ndarray, "V"]:
    """Numbers the names from 0; each video without one has a number of its own."""
    number, distinct = pd.factorize(names)
    alone = number < 0
    number[alone] = len(distinct) + np.arange(alone.sum())
    return number
