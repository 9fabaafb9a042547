"""Conventions by which one table of scores gives different numbers.

A `Convention` says which rows are used, how failed rows count, which rows are one video, and which
metric is computed of what. Published tables differ in these choices; `strict` and DeepfakeBench's
protocol are two sets of them (`benchmark_protocol`), and `gap` explains the difference of any two.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from dfjax.errors import UsageError, unknown
from dfjax.evaluation.statistics import weighted
from dfjax.evaluation.statistics.class_scores import THRESHOLD
from dfjax.evaluation.statistics.weighted import RocSteps, split_classes

METRICS = ("auc", "ap", "eer", "accuracy")
UNITS = ("video", "frame")
FAILED = ("drop", "half", "first")
POOLED = {"": True, "yes": True, "no": False}
CHOICES: dict[str, tuple[Any, ...]] = {
    "metric": METRICS,
    "unit": UNITS,
    "failed": FAILED,
    "eer": ("interp", "nearest"),
    "chosen": ("val", "test"),
}


@dataclass(frozen=True)
class Convention:
    """The choices behind one number.

    Attributes:
        metric: `auc`, `ap`, `eer` or `accuracy`.
        unit: `video`, whose score is the mean over its rows, or `frame`, each row by itself.
        first: Number of rows of each video that are used, in the order of their positions; None for
            all of them.
        pooled: Whether videos of one data set with one folder name are one video.
        failed: What a row without a score counts as: `drop` leaves it out, `half` gives it 0.5, and
            `first` gives it the score and the label of the first row of its data set.
        eer: `interp` (FPR = FNR on the interpolated ROC curve) or `nearest` (FPR at the threshold
            where they are closest, see `weighted.eer_nearest`).
        chosen: Split whose video AUC (`val`), or whose metric itself (`test`), a checkpoint is
            chosen by; of no effect with one column of scores.
    """

    metric: str = "auc"
    unit: str = "video"
    first: int | None = None
    pooled: bool = False
    failed: str = "drop"
    eer: str = "interp"
    chosen: str = "val"

    def __post_init__(self) -> None:
        """Checks that every choice exists."""
        for name, valid in CHOICES.items():
            if getattr(self, name) not in valid:
                raise unknown(name, str(getattr(self, name)), valid)
        if self.first is not None and self.first < 1:
            raise UsageError(f"first must be at least 1, not {self.first}")


def parse_convention(text: str) -> Convention:
    """Returns the convention of a text such as `video_eer:pooled,first=32,eer=nearest`.

    Args:
        text: `UNIT_METRIC`, and after a colon the other choices; `pooled` is `pooled=yes`.

    Raises:
        UsageError: A choice is unknown.
    """
    head, _, rest = text.partition(":")
    unit, _, metric = head.partition("_")
    choices: dict[str, Any] = {"unit": unit, "metric": metric}
    known = [one.name for one in fields(Convention)]
    for part in filter(None, (piece.strip() for piece in rest.split(","))):
        name, equals, value = part.partition("=")
        if name not in known:
            raise unknown("choice", name, known)
        if name == "pooled":
            if value not in POOLED:
                raise unknown("value of pooled", value, [one for one in POOLED if one])
            choices[name] = POOLED[value]
        elif name == "first":
            if not value.isdigit():
                raise UsageError(f"first needs a number of frames, as first=32, not {part}")
            choices[name] = int(value)
        elif not equals:
            raise UsageError(f"{name} needs a value, as {name}={CHOICES[name][0]}")
        else:
            choices[name] = value
    return Convention(**choices)


def describe_convention(convention: Convention) -> str:
    """Returns the text that `parse_convention` reads, without choices that are the default."""
    default = Convention()
    parts = []
    for one in fields(Convention):
        value = getattr(convention, one.name)
        if one.name in ("metric", "unit") or value == getattr(default, one.name):
            continue
        parts.append("pooled" if one.name == "pooled" else f"{one.name}={value}")
    head = f"{convention.unit}_{convention.metric}"
    return f"{head}:{','.join(parts)}" if parts else head


class Scored:
    """Rows of one table prepared for conventions: what does not depend on them is computed once.

    Args:
        predictions: Rows in the order of the file: `dataset video_id position label`, and a
            column of scores per checkpoint.
        columns: Names of these columns.
        selected: Mask of the rows that a number is computed of; None for all.
        validation: Mask of the rows that a checkpoint may be chosen on; None for none.
    """

    def __init__(
        self,
        predictions: pd.DataFrame,
        columns: tuple[str, ...] = ("fake_prob",),
        *,
        selected: Bool[np.ndarray, "N"] | None = None,
        validation: Bool[np.ndarray, "N"] | None = None,
    ) -> None:
        self.columns = columns
        everything = np.ones(len(predictions), bool)
        self.selected = everything if selected is None else selected
        self.validation = ~everything if validation is None else validation
        self.scores = {name: predictions[name].to_numpy(np.float64) for name in columns}
        self.label = predictions["label"].to_numpy(np.int64)
        self.dataset = pd.factorize(predictions["dataset"])[0]
        self.split = np.where(self.validation, 1, 0)
        self.video = self._number(predictions["video_id"])
        folder = predictions["video_id"].str.rstrip("/").str.rpartition("/")[2]
        self.folder = self._number(folder)
        # Place of each row among those of its video, by position.
        order = np.lexsort((predictions["position"].to_numpy(), self.video))
        ordered = self.video[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        lengths = np.diff(np.append(starts, len(ordered)))
        self.place = np.empty(len(ordered), np.int64)
        self.place[order] = np.arange(len(ordered)) - np.repeat(starts, lengths)

    def _number(self, names: pd.Series) -> Int[np.ndarray, "N"]:
        """Returns a number for each combination of data set, split and name."""
        number, distinct = pd.factorize(names)
        key = (self.dataset * 2 + self.split) * max(len(distinct), 1) + number
        return np.unique(key, return_inverse=True)[1]

    def restrict(self, selected: Bool[np.ndarray, "N"]) -> Scored:
        """Returns the same table of which other rows are selected."""
        other = copy.copy(self)
        other.selected = selected
        return other

    def measure(self, convention: Convention) -> float:
        """Returns the number that a convention gives; NaN where it is undefined."""
        if len(self.columns) == 1:
            return self._measure(self.columns[0], convention, self.selected)
        if convention.chosen == "test":
            found = [self._measure(one, convention, self.selected) for one in self.columns]
            known = [value for value in found if np.isfinite(value)] or [np.nan]
            return min(known) if convention.metric == "eer" else max(known)
        if not self.validation.any():
            raise UsageError("no row of split val says which checkpoint is the best")
        by = replace(convention, metric="auc", unit="video", pooled=False)
        values = [self._measure(one, by, self.validation) for one in self.columns]
        if not np.isfinite(values).any():
            return float("nan")
        best = self.columns[int(np.nanargmax(values))]
        return self._measure(best, convention, self.selected)

    def _measure(self, column: str, convention: Convention, rows: Bool[np.ndarray, "N"]) -> float:
        scores, labels = self.select(column, convention, rows)
        return measure(scores, labels, convention.metric, convention.eer)

    def select(
        self, column: str, convention: Convention, rows: Bool[np.ndarray, "N"]
    ) -> tuple[Float[np.ndarray, "M"], Int[np.ndarray, "M"]]:
        """Returns the scores and labels of videos or frames that a metric is computed of.

        The label of a video is the integer part of the mean label of its rows.
        """
        kept = np.flatnonzero(rows)
        if convention.first is not None:
            kept = kept[self.place[kept] < convention.first]
        scores, labels = self.scores[column][kept], self.label[kept]
        failed = ~np.isfinite(scores)
        if failed.any():
            scores, labels, kept = self._replace_failed(scores, labels, kept, failed, convention)
        if convention.unit == "frame" or not len(scores):
            return scores, labels
        number = (self.folder if convention.pooled else self.video)[kept]
        _, video = np.unique(number, return_inverse=True)
        sizes = np.bincount(video)
        means = np.bincount(video, scores) / sizes
        return means, np.floor(np.bincount(video, labels) / sizes).astype(np.int64)

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
    scores: Float[np.ndarray, "M"], labels: Int[np.ndarray, "M"], metric: str, eer: str = "interp"
) -> float:
    """Returns a metric of scores; NaN where it is undefined.

    Args:
        scores: P(fake).
        labels: Labels.
        metric: One of `METRICS`. Accuracy calls fake what is greater than 0.5.
        eer: `interp` or `nearest`.
    """
    if not len(scores):
        return float("nan")
    if metric == "accuracy":
        return float(((scores > THRESHOLD) == (labels == 1)).mean())
    table = split_classes(scores, labels)
    if metric == "eer":
        find = weighted.eer_nearest if eer == "nearest" else _interpolate
        return float(find(table)[0])
    curve = RocSteps(table)
    return float((weighted.auc if metric == "auc" else weighted.average_precision)(curve)[0])


def _interpolate(table: weighted.Classes) -> Float[np.ndarray, "R"]:
    return weighted.eer(RocSteps(table))
