"""The number that a convention gives for a table of scores."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from dfjax.errors import UsageError
from dfjax.evaluation.conventions.convention import Convention
from dfjax.evaluation.statistics import weighted
from dfjax.evaluation.statistics.class_scores import THRESHOLD
from dfjax.evaluation.statistics.weighted import RocSteps, split_classes
from dfjax.evaluation.videos.aggregation import UNITS, average

Codes = Int[np.ndarray, "N"]
Mask = Bool[np.ndarray, "N"]


class Scored:
    """Rows of one table prepared for conventions: what does not depend on them is computed once.

    The strict convention gives the numbers of `metrics.compute`, bit by bit: the same rows are left
    out, and the same functions compute scores of videos and metrics.

    Attributes:
        columns: Names of the columns of scores.
        selected: Mask of the rows that a number is computed of.
        validation: Mask of the rows that a checkpoint may be chosen on.
        video: Number of the video of each row.
        folder: Number of the folder of each row, which is its video where these are pooled.
        place: Place of the position of each row among those of its video and unit.
        repeats: Whether the key of some row occurs more than once.
    """

    def __init__(
        self,
        predictions: pd.DataFrame,
        columns: tuple[str, ...] = ("fake_prob",),
        *,
        selected: Mask | None = None,
        validation: Mask | None = None,
    ) -> None:
        """Numbers the videos, folders and keys of the rows.

        Args:
            predictions: Rows in the order of the file, with the columns `predictions.COLUMNS` and a
                column of scores per checkpoint.
            columns: Names of these columns.
            selected: Mask of the rows that a number is computed of; None for all.
            validation: Mask of the rows that a checkpoint may be chosen on; None for none.
        """
        self.columns = columns
        everything = np.ones(len(predictions), bool)
        self.selected = everything if selected is None else selected
        self.validation = ~everything if validation is None else validation
        self.scores = {name: predictions[name].to_numpy(np.float64) for name in columns}
        self.label = predictions["label"].to_numpy(np.int64)
        self.dataset = pd.factorize(predictions["dataset"])[0]
        ids = predictions["video_id"]
        codes, names = pd.factorize(ids)
        folders = pd.Series(names, dtype="object").str.rstrip("/").str.rpartition("/")[2]
        self.video = self._number(codes)
        self.folder = self._number(pd.factorize(folders)[0][codes])
        unit, units = pd.factorize(predictions["unit"])
        self.rank = np.array([UNITS.index(one) for one in units], np.int64)[unit]
        self._sort(*(predictions[name].to_numpy(np.int64) for name in ("position", "face")))

    def _sort(self, position: Codes, face: Codes) -> None:
        """Numbers the keys of the rows in sorted order, and the positions of each unit."""
        order = np.lexsort((face, position, self.rank, self.video))
        video, rank, position, face = (
            values[order] for values in (self.video, self.rank, position, face)
        )
        new_unit = _changes(video) | _changes(rank)
        new_position = new_unit | _changes(position)
        number = np.cumsum(new_position)
        starts = np.flatnonzero(new_unit)
        lengths = np.diff(np.append(starts, len(order)))
        self.place, self.key = np.empty_like(order), np.empty_like(order)
        self.place[order] = number - np.repeat(number[starts], lengths)
        self.key[order] = np.cumsum(new_position | _changes(face)) - 1
        self.repeats = bool(len(order)) and int(self.key.max()) + 1 < len(order)

    def _number(self, names: Codes) -> Codes:
        """Returns a number for each combination of data set, split for checkpoints, and name."""
        key = (self.dataset * 2 + self.validation) * (names.max(initial=0) + 1) + names
        return np.unique(key, return_inverse=True)[1]

    def restrict(self, selected: Mask) -> Scored:
        """Returns the same table of which other rows are selected."""
        other = copy.copy(self)
        other.selected = selected
        return other

    def measure(self, convention: Convention) -> float:
        """Returns the number that a convention gives; NaN where it is undefined."""
        best = self.choose(convention)
        return self._measure(best, convention, self.selected) if best else float("nan")

    def choose(self, convention: Convention) -> str | None:
        """Returns the column of the checkpoint that a convention reports, of several the first.

        It is None where the number that checkpoints are chosen by is undefined for all of them.

        Raises:
            UsageError: There are several checkpoints, and no rows of split `val`.
        """
        if len(self.columns) == 1:
            return self.columns[0]
        rows = self.selected
        if convention.chosen == "val":
            convention, rows = Convention(), self.validation
            if not rows.any():
                raise UsageError("no row of split val says which checkpoint is the best")
        values = np.array([self._measure(one, convention, rows) for one in self.columns])
        if not np.isfinite(values).any():
            return None
        find = np.nanargmin if convention.metric == "eer" else np.nanargmax
        return self.columns[int(find(values))]

    def _measure(self, column: str, convention: Convention, rows: Mask) -> float:
        scores, labels = self.select(column, convention, rows)
        return measure(scores, labels, convention)

    def select(
        self, column: str, convention: Convention, rows: Mask
    ) -> tuple[Float[np.ndarray, "M"], Int[np.ndarray, "M"]]:
        """Returns the scores and labels of videos or frames that a metric is computed of.

        The label of a video is the integer part of the mean label of its rows.

        Args:
            column: Name of the column of scores.
            convention: Which rows are used, and how.
            rows: Mask of the rows.
        """
        kept = np.flatnonzero(rows)
        if convention.first is not None:
            kept = kept[self.place[kept] < convention.first]
        scores, labels = self.scores[column][kept], self.label[kept]
        failed = ~np.isfinite(scores)
        if failed.any():
            scores, labels, kept = self._replace_failed(scores, labels, kept, failed, convention)
        if self.repeats and convention.repeated == "drop":
            once = ~pd.Series(self.key[kept]).duplicated().to_numpy()
            scores, labels, kept = scores[once], labels[once], kept[once]
        if not len(scores):
            return scores, labels
        if convention.unit == "frame":
            finest = self.rank[kept] == self.rank.max()
            return scores[finest], labels[finest]
        used = self._find_coarsest(kept)
        number = (self.folder if convention.pooled else self.video)[kept[used]]
        order = np.lexsort((self.key[kept[used]], number))
        _, video = np.unique(number[order], return_inverse=True)
        means = average(scores[used][order], video)
        of_videos = np.bincount(video, labels[used][order]) / np.bincount(video)
        return means, np.floor(of_videos).astype(np.int64)

    def _find_coarsest(self, kept: Int[np.ndarray, "M"]) -> Int[np.ndarray, "L"]:
        """Returns the places in `kept` of the rows of the coarsest unit of each video."""
        rank, video = self.rank[kept], self.video[kept]
        if rank.min() == rank.max():
            return np.arange(len(kept))
        lowest = np.full(video.max() + 1, len(UNITS))
        np.minimum.at(lowest, video, rank)
        return np.flatnonzero(rank == lowest[video])

    def _replace_failed(
        self,
        scores: Float[np.ndarray, "M"],
        labels: Int[np.ndarray, "M"],
        kept: Int[np.ndarray, "M"],
        failed: Bool[np.ndarray, "M"],
        convention: Convention,
    ) -> tuple[Float[np.ndarray, "L"], Int[np.ndarray, "L"], Int[np.ndarray, "L"]]:
        if convention.failed == "half":
            return np.where(failed, 0.5, scores), labels, kept
        if convention.failed == "first":
            _, starts, dataset = np.unique(
                self.dataset[kept], return_index=True, return_inverse=True
            )
            first = starts[dataset]
            scores = np.where(failed, scores[first], scores)
            labels = np.where(failed, labels[first], labels)
        known = np.isfinite(scores)  # the first row itself may have no score
        return scores[known], labels[known], kept[known]


def measure(
    scores: Float[np.ndarray, "M"],
    labels: Int[np.ndarray, "M"],
    convention: Convention | None = None,
) -> float:
    """Returns the metric of a convention; NaN where it is undefined.

    Args:
        scores: P(fake).
        labels: Labels.
        convention: Which metric, and its rules; None for the AUC.
    """
    if not len(scores):
        return float("nan")
    convention = convention or Convention()
    table = split_classes(scores, labels)
    if convention.metric == "accuracy":
        if convention.half == "real":
            return float(((scores > THRESHOLD) == (labels == 1)).mean())
        return float(weighted.confusion(table)["accuracy"][0])
    if convention.metric == "eer" and convention.eer == "nearest":
        return float(weighted.eer_nearest(table)[0])
    find = {"auc": weighted.auc, "ap": weighted.average_precision, "eer": weighted.eer}
    return float(find[convention.metric](RocSteps(table))[0])


def _changes(values: Sequence[int] | Codes) -> Mask:
    """Returns a mask of the values that differ from the one before; the first one does."""
    return np.diff(values, prepend=np.asarray(values)[:1] - 1) != 0
