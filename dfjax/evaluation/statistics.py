"""Binary-classification statistics of weighted videos, many weightings at a time.

A statistic is a function of two `ClassScores`, those of the fakes and those of the reals, and
returns `f64[R]`, one value per weighting: a weighting of ones gives the metric itself, bootstrap
counts give its resamples, so that the same code computes a metric and its interval. NaN stands for
"undefined", for example where a class has no weight. What a statistic needs of one class is
computed once per `ClassScores`: tables with the same reals, such as those of the manipulations of
one data set, share that work.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Scores = Float[np.ndarray, "N"]
LabelArray = Int[np.ndarray, "N"]
Weights = Float[np.ndarray, "R N"]
Figures = Float[np.ndarray, "R"]

THRESHOLD = 0.5
ECE_BINS = 15  # Guo et al. 2017


class ClassScores:
    """Scores of N videos of one class under R weightings.

    Attributes:
        distinct: The G distinct scores, highest first.
        counts: Weight at each distinct score, `f64[R, G]`.
        above: Weight of the g highest distinct scores for g from 0 to G, `f64[R, G + 1]`.
    """

    def __init__(self, scores: Scores, weights: Weights, *, label: int) -> None:
        """Sorts the scores.

        Args:
            scores: P(fake) of each video.
            weights: How often each video counts, one row per weighting.
            label: Label of all of them.
        """
        order = np.argsort(-scores, kind="stable")
        self._scores, self._weights, self._label = scores[order], weights[:, order], label
        starts = np.flatnonzero(np.diff(self._scores, prepend=np.inf))
        self.distinct = self._scores[starts]
        tied = len(starts) < len(order)
        self.counts = np.add.reduceat(self._weights, starts, axis=1) if tied else self._weights
        self.above = np.zeros((len(weights), len(starts) + 1))
        np.cumsum(self.counts, axis=1, out=self.above[:, 1:])

    @property
    def total(self) -> Figures:
        """Weight of all videos."""
        return self.above[:, -1]

    @cached_property
    def called_fake(self) -> Figures:
        """Weight of the videos that score at least `THRESHOLD`."""
        return self._weights @ (self._scores >= THRESHOLD)

    @cached_property
    def log_loss(self) -> Figures:
        """Sum of the negative natural logarithms of the label's probability.

        Probabilities are clipped at the resolution of float64, as in scikit-learn.
        """
        tiny = np.finfo(np.float64).eps
        of_label = self._scores if self._label else 1.0 - self._scores
        return self._weights @ -np.log(np.clip(of_label, tiny, 1.0 - tiny))

    @cached_property
    def squared_error(self) -> Figures:
        """Sum of (score - label) squared."""
        return self._weights @ np.square(self._scores - self._label)

    @cached_property
    def excess(self) -> Float[np.ndarray, "R BINS"]:
        """Sum of score - label in each of `ECE_BINS` bins of equal width."""
        bins = np.minimum((self._scores * ECE_BINS).astype(int), ECE_BINS - 1)
        excess = np.zeros((len(bins), ECE_BINS))
        excess[np.arange(len(bins)), bins] = self._scores - self._label
        return self._weights @ excess

    @cached_property
    def mirrored(self) -> ClassScores:
        """The same videos as the other class, their scores negated."""
        return ClassScores(-self._scores, self._weights, label=1 - self._label)

    def find(self, scores: Scores, *, ties: bool) -> Int[np.ndarray, "N"]:
        """Returns how many distinct scores are above each of `scores`, or at it with `ties`."""
        return np.searchsorted(-self.distinct, -scores, side="right" if ties else "left")


class Classes(NamedTuple):
    """The two classes of one table."""

    fakes: ClassScores
    reals: ClassScores

    def swap(self) -> Classes:
        """Returns the table with its reals as fakes and the order of its scores reversed."""
        return Classes(self.reals.mirrored, self.fakes.mirrored)


def split_classes(scores: Scores, labels: LabelArray, weights: Weights | None = None) -> Classes:
    """Returns the classes of a table; without weights every video counts once."""
    weights = np.ones((1, len(scores))) if weights is None else weights
    fake = labels == 1
    return Classes(
        ClassScores(scores[fake], weights[:, fake], label=1),
        ClassScores(scores[~fake], weights[:, ~fake], label=0),
    )


def compute_statistics(table: Classes) -> dict[str, Figures]:
    """Returns every video-level metric that has an interval, `f64[R]` each, by its public name."""
    curve = RocSteps(table)
    return {
        "video_auc": auc(curve),
        "ap": average_precision(curve),
        "eer": eer(curve),
        **confusion(table),
        **proper_scores(table),
        "ece": ece(table),
    }


class RocSteps:
    """The ROC curve as its vertical or slanted steps, one at each distinct score of a fake.

    Between two steps the curve is horizontal, whatever the scores of the reals there.

    Attributes:
        gained: Weight of the fakes at each step, `f64[R, G]`.
        true: Weight of the fakes at or above it.
        false_before: Weight of the reals above it.
        false_after: Weight of the reals at or above it.
        fakes: Weight of all fakes, `f64[R]`.
        reals: Weight of all reals.
    """

    def __init__(self, table: Classes) -> None:
        """Looks up the fakes' scores among those of the reals."""
        fakes, reals = table
        self.gained, self.true = fakes.counts, fakes.above[:, 1:]
        before = reals.find(fakes.distinct, ties=False)
        after = reals.find(fakes.distinct, ties=True)
        self.false_before = np.take(reals.above, before, axis=1)
        tied = (before != after).any()
        self.false_after = np.take(reals.above, after, axis=1) if tied else self.false_before
        self.fakes, self.reals = fakes.total, reals.total


def auc(curve: RocSteps) -> Figures:
    """Returns the area under the ROC curve; ties count one half."""
    below = 2.0 * curve.reals[:, None] - curve.false_before - curve.false_after
    pairs = np.einsum("rg,rg->r", curve.gained, below) / 2.0
    return _ratio(pairs, curve.fakes * curve.reals)


def average_precision(curve: RocSteps) -> Figures:
    """Returns the sum of precision times gained recall over thresholds, fakes positive.

    Undefined without reals, where it would always be 1.
    """
    found = curve.true + curve.false_after
    precision = curve.true / np.where(found > 0, found, 1.0)
    area = _ratio(np.einsum("rg,rg->r", curve.gained, precision), curve.fakes)
    return np.where(curve.reals > 0, area, np.nan)


def eer(curve: RocSteps) -> Figures:
    """Returns the equal error rate: where the interpolated ROC curve has FPR = 1 - TPR."""
    if not curve.gained.size:
        return np.full(len(curve.fakes), np.nan)
    fakes, reals = curve.fakes[:, None], curve.reals[:, None]
    # (FPR + TPR - 1) times both totals after each step: exact for counts, and never falling.
    after = curve.false_after * fakes + (curve.true - fakes) * reals
    row, step = np.arange(len(after)), np.argmax(after >= 0, axis=1)
    missed = curve.fakes - curve.true[row, step] + curve.gained[row, step]  # before the step
    false = curve.false_before[row, step]
    before = false * curve.fakes - missed * curve.reals
    share = _ratio(-before, after[row, step] - before)
    crossed = _ratio(false + share * (curve.false_after[row, step] - false), curve.reals)
    # Where the curve crossed before the step, it was horizontal: FPR = 1 - TPR = share missed.
    rate = np.where(before >= 0, _ratio(missed, curve.fakes), crossed)
    return np.where((curve.fakes > 0) & (curve.reals > 0), rate, np.nan)


def tpr_at_fpr(curve: RocSteps, limit: float) -> Figures:
    """Returns the highest true-positive rate of a threshold whose FPR is at most `limit`."""
    fpr = curve.false_after / np.where(curve.reals > 0, curve.reals, np.nan)[:, None]
    true = np.where(fpr <= limit, curve.true, 0.0).max(axis=1, initial=0.0)
    return np.where(curve.reals > 0, _ratio(true, curve.fakes), np.nan)


def rates(table: Classes) -> tuple[Float[np.ndarray, "R P"], Float[np.ndarray, "R P"]]:
    """Returns false- and true-positive rates at every distinct score, from (0, 0) to (1, 1)."""
    fakes, reals = table
    thresholds = np.union1d(fakes.distinct, reals.distinct)[::-1]
    found = []
    for one in (reals, fakes):
        places = np.r_[0, one.find(thresholds, ties=True)]
        total = np.where(one.total > 0, one.total, np.nan)
        found.append(one.above[:, places] / total[:, None])
    return found[0], found[1]


def eer_nearest(table: Classes) -> Figures:
    """Returns FPR at the threshold where FPR and FNR are nearest, without interpolation."""
    fpr, tpr = rates(table)
    gap = np.abs(1.0 - tpr - fpr)
    nearest = np.argmin(np.where(np.isnan(gap), np.inf, gap), axis=1)
    return np.where(np.isnan(gap[:, 0]), np.nan, fpr[np.arange(len(gap)), nearest])


def confusion(table: Classes) -> dict[str, Figures]:
    """Returns accuracy, balanced accuracy, precision, recall, F1 and macro-F1 at threshold 0.5.

    Macro-F1 is the mean of the F1 of fakes and that of reals. Precision is 0 when nothing is called
    fake, as in scikit-learn; precision, recall and F1 are undefined without fakes, balanced
    accuracy and macro-F1 without either class.
    """
    fakes, reals = table
    tp, fp = fakes.called_fake, reals.called_fake
    fn, tn = fakes.total - tp, reals.total - fp
    recall = _ratio(tp, fakes.total)
    f1 = np.where(fakes.total > 0, _ratio(2 * tp, 2 * tp + fp + fn), np.nan)
    f1_of_reals = np.where(reals.total > 0, _ratio(2 * tn, 2 * tn + fn + fp), np.nan)
    return {
        "accuracy": _ratio(tp + tn, fakes.total + reals.total),
        "balanced_accuracy": (recall + _ratio(tn, reals.total)) / 2,
        "precision": np.where(fakes.total > 0, np.nan_to_num(_ratio(tp, tp + fp)), np.nan),
        "recall": recall,
        "f1": f1,
        "macro_f1": (f1 + f1_of_reals) / 2,
    }


def proper_scores(table: Classes) -> dict[str, Figures]:
    """Returns log loss (natural logarithm) and the Brier score."""
    fakes, reals = table
    total = fakes.total + reals.total
    return {
        "log_loss": _ratio(fakes.log_loss + reals.log_loss, total),
        "brier": _ratio(fakes.squared_error + reals.squared_error, total),
    }


def ece(table: Classes) -> Figures:
    """Returns the expected calibration error of P(fake) in 15 bins of equal width.

    The mean, over bins weighted by their share, of |mean score - share of fakes|.
    """
    fakes, reals = table
    excess = np.abs(fakes.excess + reals.excess).sum(axis=1)
    return _ratio(excess, fakes.total + reals.total)


def _ratio(numerator: Figures, denominator: Figures) -> Figures:
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0
    )
