"""The scores of several detectors for the same videos, joined by data set and id."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dfjax.errors import UsageError
from dfjax.evaluation.report.view import Report
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.predictions import UNKNOWN, read_predictions
from dfjax.evaluation.tables.split_choice import TEST, choose_split
from dfjax.evaluation.videos.aggregation import VIDEO, VideoScores, score_videos
from dfjax.evaluation.videos.clusters import VIDEOS, Clusters, find_clusters
from dfjax.evaluation.videos.cuts import find_heldout

Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame | Report
"""A prediction file or table, a workdir with an evaluation, or the report of an evaluation."""
Places = Int[np.ndarray, "V"]


@dataclass(frozen=True)
class PairedScores:
    """Scores of the videos that all detectors scored.

    Attributes:
        names: Name of each detector.
        probs: P(fake) of each detector for each video.
        labels: Label of each video.
        clusters: Clusters of dependent videos.
        left_out: Number of videos of each detector that some other detector did not score.
        held_back: Manipulations that were held back from some training, whose videos are not here.
        videos: `dataset` and `video_id` of each video.
    """

    names: list[str]
    probs: Float[np.ndarray, "D V"]
    labels: Int[np.ndarray, "V"]
    clusters: Clusters
    left_out: list[int]
    held_back: tuple[str, ...] = ()
    videos: pd.DataFrame = field(default_factory=pd.DataFrame)


def pair_scores(
    sources: Sequence[Source],
    *,
    split: str,
    index: pd.DataFrame | None = None,
    names: Sequence[str] | None = None,
    form: TableForm | None = None,
) -> PairedScores:
    """Returns the joined scores of several detectors.

    A table without data sets is joined by `video_id` alone. As in `overall` of an evaluation, there
    are no videos of manipulations that the files say were held back from training.

    Args:
        sources: Predictions of each detector.
        split: Split whose predictions are read from workdirs, and from tables with several splits.
        index: Index of the videos, or None.
        names: Names of the detectors; None for the names of the workdirs and files.
        form: How files and tables of other programs are to be read; None for the usual form.

    Raises:
        UsageError: There are fewer than two sources, one cannot be read, names are not distinct,
            the detectors have no video in common, or a video has two labels.
    """
    if len(sources) < 2:
        raise UsageError("a comparison needs the predictions of at least two detectors")
    found = list(names or _name(sources))
    if len(set(found)) < len(sources) or len(found) > len(sources):
        raise UsageError(f"{len(sources)} detectors need {len(sources)} distinct names: {found}")
    read = [_read(one, split, index, form) for one in sources]
    tables = _name_datasets([table for table, _ in read])
    tables, held = leave_out_held_back(tables, {name for _, names in read for name in names})
    scores = [score_videos(table) for table in tables]
    places = _join(scores, found)
    labels = _take(scores, places, "label").astype(np.int64)
    differ = np.flatnonzero((labels != labels[0]).any(axis=0))
    if len(differ):
        first = "/".join(scores[0].videos[VIDEO].iloc[places[0][differ[0]]])
        raise UsageError(f"{len(differ)} videos have two labels, for example {first}")
    return PairedScores(
        names=found,
        probs=_take(scores, places, "fake_prob").astype(np.float64),
        labels=labels[0],
        clusters=_find_clusters(scores, places, index),
        left_out=[len(one.videos) - len(at) for one, at in zip(scores, places)],
        held_back=held,
        videos=scores[0].videos[VIDEO].iloc[places[0]].reset_index(drop=True),
    )


def leave_out_held_back(
    tables: list[pd.DataFrame], methods: Collection[str]
) -> tuple[list[pd.DataFrame], tuple[str, ...]]:
    """Returns the tables without the fakes of some manipulations, and those that they had.

    A video is left out of all tables, also of those that do not name its manipulation.

    Args:
        tables: Predictions of each detector.
        methods: Manipulations held back from the training of any detector.
    """
    if not methods:
        return tables, ()
    held = [table[find_heldout(table, list(methods))] for table in tables]
    found = pd.concat([rows[[*VIDEO, "method"]] for rows in held]).drop_duplicates()
    videos = pd.MultiIndex.from_frame(found[VIDEO])
    kept = [table[~pd.MultiIndex.from_frame(table[VIDEO]).isin(videos)] for table in tables]
    return kept, tuple(sorted(set(found["method"])))


def _join(scores: list[VideoScores], names: list[str]) -> list[Places]:
    """Returns the positions of the common videos in the videos of each detector."""
    keys = [pd.MultiIndex.from_frame(one.videos[VIDEO]) for one in scores]
    common = keys[0]
    for key in keys[1:]:
        common = common.intersection(key)
    if not len(common):
        raise UsageError(f"no video (dataset, video_id) was scored by all of {', '.join(names)}")
    return [key.get_indexer(common) for key in keys]


def _take(scores: list[VideoScores], places: list[Places], column: str) -> np.ndarray:
    """Returns a column of the common videos, one row per detector."""
    return np.array([one.videos[column].to_numpy()[at] for one, at in zip(scores, places)])


def _read(
    source: Source, split: str, index: pd.DataFrame | None, form: TableForm | None
) -> tuple[pd.DataFrame, Sequence[str]]:
    """Returns the predictions of a source, and the manipulations held back from its training.

    Of a table with several splits the rows of one are returned.
    """
    place = locate(source, split)
    if isinstance(source, Report) or not (
        isinstance(source, pd.DataFrame) or place == Path(source)
    ):
        form = None  # our own predictions
    predictions, _, _, held_back = read_predictions([place], index, form)
    if isinstance(source, Report):
        return predictions, source.metrics.get("heldout_methods", ())
    return choose_split(predictions, None if split == TEST else split).rows, held_back


def locate(source: Source, split: str) -> Path | pd.DataFrame:
    """Returns the predictions of a source as a table, or the file that contains them."""
    if isinstance(source, Report):
        if source.predictions is None:
            raise UsageError("a report without predictions cannot be compared")
        return source.predictions
    if isinstance(source, pd.DataFrame):
        return source
    path = Path(source)
    if not path.is_dir():
        return path
    for file in (path / "eval" / split / "predictions.parquet", path / "predictions.parquet"):
        if file.is_file():
            return file
    raise UsageError(f"{path} has no predictions of split {split!r}: evaluate it first")


def _name(sources: Sequence[Source]) -> list[str]:
    """Returns the names of workdirs and stems of files; full paths if these are not distinct.

    A source that is given several times is numbered.
    """
    paths = [Path(one) if isinstance(one, str | os.PathLike) else None for one in sources]
    names = [path.stem if path else f"table {n}" for n, path in enumerate(paths, 1)]
    if len(set(names)) == len(names):
        return names
    full = [str(path) if path else name for name, path in zip(names, paths)]
    counts = [full[: place + 1].count(name) for place, name in enumerate(full)]
    return [name if count == 1 else f"{name} ({count})" for name, count in zip(full, counts)]


def _name_datasets(tables: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Returns the tables; a table without data sets gets those of the first table with them."""
    known = [table for table in tables if not (table["dataset"] == UNKNOWN).all()]
    if not known:
        return tables
    names = known[0].drop_duplicates(VIDEO).set_index("video_id")["dataset"]
    if names.index.has_duplicates:
        return tables
    return [
        table.assign(dataset=table["video_id"].map(names).fillna(UNKNOWN))
        if (table["dataset"] == UNKNOWN).all()
        else table
        for table in tables
    ]


def _find_clusters(
    scores: list[VideoScores], places: list[Places], index: pd.DataFrame | None
) -> Clusters:
    """Returns the clusters of the common videos, by the first table that defines any."""
    for one, at in zip(scores, places):
        new = np.full(len(one.videos), -1)
        new[at] = np.arange(len(at))
        video = new[one.video]
        videos = one.videos.iloc[at].reset_index(drop=True)
        kept = video >= 0
        clusters = find_clusters(VideoScores(one.rows[kept], video[kept], videos), index)
        if clusters.kind != VIDEOS:
            break
    return clusters
