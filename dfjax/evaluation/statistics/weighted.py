"""Binary-classification statistics of weighted videos, for many weightings at a time.

A statistic is a function of two `ClassScores`, those of the fakes and those of the reals, and
returns `f64[R]`, one value per weighting. With weights of one it is the metric itself, and with
bootstrap counts it is the metric of each resample. An undefined value is NaN, for example where a
class has no weight. Intermediate results of one class are stored in its `ClassScores`, which tables
with the same reals share, such as those of the manipulations of one data set.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dfjax.evaluation.statistics.class_scores import (
    ClassScores,
    Figures,
    Scores,
    SortedScores,
    Weights,
)

LabelArray = Int[np.ndarray, "N"]


class Classes(NamedTuple):
    """The two classes of one table."""

    fakes: ClassScores
    reals: ClassScores

    def swap(self) -> Classes:
        """Returns the table with its reals as fakes and the order of its scores reversed."""
        return Classes(self.reals.mirrored, self.fakes.mirrored)


def split_classes(scores: Scores, labels: LabelArray, weights: Weights | None = None) -> Classes:
    """Returns the classes of a table.

    Args:
        scores: P(fake) of each video.
        labels: Label of each video.
        weights: Weight of each video, one row per weighting; None for one row of ones.
    """
    weights = np.ones((1, len(scores))) if weights is None else weights
    fake = labels == 1
    return Classes(
        ClassScores(SortedScores(scores[fake], label=1), weights[:, fake]),
        ClassScores(SortedScores(scores[~fake], label=0), weights[:, ~fake]),
    )


def compute_statistics(table: Classes) -> dict[str, Figures]:
    """Returns the video-level metrics with intervals, `f64[R]` each, by their public names."""
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
    """The steps of the ROC curve, one at each of the G distinct scores of the fakes.

    A step is vertical, or slanted if a real has the same score; between steps the curve is
    horizontal.

    Attributes:
        gained: Weight of the fakes at each step, `f64[R, G]`.
        true: Weight of the fakes with at least the score of the step, `f64[R, G]`.
        false_before: Weight of the reals with a higher score, `f64[R, G]`.
        false_after: Weight of the reals with at least this score, `f64[R, G]`.
        fakes: Weight of all fakes, `f64[R]`.
        reals: Weight of all reals, `f64[R]`.
    """

    def __init__(self, table: Classes) -> None:
        """Finds the scores of the fakes among those of the reals."""
        fakes, reals = table
        self.gained, self.true = fakes.counts, fakes.above[:, 1:]
        before, after = reals.sorted.find_class(fakes.sorted)
        self.false_before = np.take(reals.above, before, axis=1)
        tied = (before != after).any()
        self.false_after = np.take(reals.above, after, axis=1) if tied else self.false_before
        self.fakes, self.reals = fakes.total, reals.total


def auc(curve: RocSteps) -> Figures:
    """Returns the area under the ROC curve, in which ties count one half."""
    before = np.einsum("rg,rg->r", curve.gained, curve.false_before)
    tied = curve.false_after is not curve.false_before
    after = np.einsum("rg,rg->r", curve.gained, curve.false_after) if tied else before
    pairs = curve.fakes * curve.reals  # exact: weights are counts, and their products below 2^53
    return _ratio(pairs - (before + after) / 2.0, pairs)


def average_precision(curve: RocSteps) -> Figures:
    """Returns the average precision of fakes: the sum of precision times increase of recall.

    It is undefined without reals, where it would always be 1.
    """
    precision = curve.true + curve.false_after
    np.maximum(precision, np.finfo(np.float64).tiny, out=precision)  # 0 where nothing is found yet
    np.divide(curve.true, precision, out=precision)
    area = _ratio(np.einsum("rg,rg->r", curve.gained, precision), curve.fakes)
    return np.where(curve.reals > 0, area, np.nan)


def eer(curve: RocSteps) -> Figures:
    """Returns the equal error rate, the FPR at which the interpolated ROC curve has FPR = FNR."""
    if not curve.gained.size:
        return np.full(len(curve.fakes), np.nan)
    # (FPR + TPR - 1) times both totals after each step is exact for counts, and non-decreasing. The
    # first step at which it is not negative is found by bisection.
    row = np.arange(len(curve.fakes))
    step, high = np.zeros_like(row), np.full_like(row, curve.gained.shape[1] - 1)
    while (step < high).any():
        middle = (step + high) // 2
        missed = curve.fakes - curve.true[row, middle]
        negative = curve.false_after[row, middle] * curve.fakes < missed * curve.reals
        step, high = np.where(negative, middle + 1, step), np.where(negative, high, middle)
    after = curve.false_after[row, step] * curve.fakes
    after -= (curve.fakes - curve.true[row, step]) * curve.reals
    missed = curve.fakes - curve.true[row, step] + curve.gained[row, step]  # before the step
    false = curve.false_before[row, step]
    before = false * curve.fakes - missed * curve.reals
    share = _ratio(-before, after - before)
    crossed = _ratio(false + share * (curve.false_after[row, step] - false), curve.reals)
    # If the curve crosses on the horizontal part before the step, FPR = FNR = share missed.
    rate = np.where(before >= 0, _ratio(missed, curve.fakes), crossed)
    return np.where((curve.fakes > 0) & (curve.reals > 0), rate, np.nan)


def tpr_at_fpr(curve: RocSteps, limit: float) -> Figures:
    """Returns the largest true-positive rate over thresholds whose FPR is at most `limit`."""
    fpr = curve.false_after / np.where(curve.reals > 0, curve.reals, np.nan)[:, None]
    true = np.where(fpr <= limit, curve.true, 0.0).max(axis=1, initial=0.0)
    return np.where(curve.reals > 0, _ratio(true, curve.fakes), np.nan)


def rates(table: Classes) -> tuple[Float[np.ndarray, "R P"], Float[np.ndarray, "R P"]]:
    """Returns false- and true-positive rates at every distinct score, from (0, 0) to (1, 1)."""
    return _divide(table, *_weigh_above(table))


def _weigh_above(table: Classes) -> tuple[Float[np.ndarray, "R P"], Float[np.ndarray, "R P"]]:
    """Returns the weight of reals and of fakes from every distinct score on, beginning with 0."""
    thresholds = np.union1d(*(one.sorted.distinct for one in table))[::-1]
    true, false = (one.above[:, np.r_[0, one.sorted.find(thresholds, ties=True)]] for one in table)
    return false, true


def _divide(
    table: Classes, false: Float[np.ndarray, "R P"], true: Float[np.ndarray, "R P"]
) -> tuple[Float[np.ndarray, "R P"], Float[np.ndarray, "R P"]]:
    """Returns weights of reals and fakes as shares of their totals; NaN where a class is absent."""
    fakes, reals = (np.where(one.total > 0, one.total, np.nan)[:, None] for one in table)
    return false / reals, true / fakes


def eer_nearest(table: Classes) -> Figures:
    """Returns the FPR at the corner of the ROC curve where FPR and FNR are closest.

    It is not interpolated, and points between two equal steps of the curve are not considered: the
    benchmarks that use this rule call scikit-learn's `roc_curve`, which leaves them out.
    """
    false, true = _weigh_above(table)
    fpr, tpr = _divide(table, false, true)
    gap = np.abs(1.0 - tpr - fpr)
    straight = (np.diff(false[:, 1:], 2) == 0) & (np.diff(true[:, 1:], 2) == 0)
    gap[:, 2:-1][straight] = np.inf
    nearest = np.argmin(np.where(np.isnan(gap), np.inf, gap), axis=1)
    return np.where(np.isnan(gap[:, 0]), np.nan, fpr[np.arange(len(gap)), nearest])


def confusion(table: Classes) -> dict[str, Figures]:
    """Returns accuracy, balanced accuracy, precision, recall, F1 and macro-F1 at threshold 0.5.

    Macro-F1 is the mean of the F1 of fakes and the F1 of reals. Precision is 0 if no video is
    classified as fake, as in scikit-learn. Precision, recall and F1 are undefined without fakes;
    balanced accuracy and macro-F1 need both classes.
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

    It is the mean of |mean score - share of fakes| over bins, weighted by their share of videos.
    """
    fakes, reals = table
    excess = np.abs(fakes.excess + reals.excess).sum(axis=1)
    return _ratio(excess, fakes.total + reals.total)


def _ratio(numerator: Figures, denominator: Figures) -> Figures:
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0
    )
