"""Binary-classification statistics of weighted tables, many weightings at a time.

Every function takes scores and labels of N videos and weights `f64[R, N]`, and gives `f64[R]`: one
row of ones is the metric itself, rows of bootstrap counts are its resamples, so that an interval
is computed by the very code that computed the figure. NaN stands for "undefined", as when a class
has no weight. The tests hold each of them to scikit-learn's value.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

Scores = Float[np.ndarray, "N"]
LabelArray = Int[np.ndarray, "N"]
Weights = Float[np.ndarray, "R N"]
Figures = Float[np.ndarray, "R"]

THRESHOLD = 0.5
ECE_BINS = 15  # Guo et al. 2017


class RankCounts:
    """Weights of fakes and reals at each distinct score, highest first: `f64[R, G]` each."""

    def __init__(self, scores: Scores, labels: LabelArray, weights: Weights) -> None:
        """Sorts once; ties share a place, as in a ROC curve."""
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        fake = weights * (labels == 1)
        self.fake = np.add.reduceat(fake[:, order], starts, axis=1)
        self.real = np.add.reduceat((weights - fake)[:, order], starts, axis=1)

    def rates(self) -> tuple[Float[np.ndarray, "R P"], Float[np.ndarray, "R P"]]:
        """Returns false- and true-positive rates along the ROC curve, from (0, 0) to (1, 1)."""
        return _cumulative_share(self.real), _cumulative_share(self.fake)


def _cumulative_share(counts: Float[np.ndarray, "R G"]) -> Float[np.ndarray, "R P"]:
    sums = np.cumsum(counts, axis=1)
    total = sums[:, -1:]
    share = np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)
    return np.concatenate([np.where(total > 0, 0.0, np.nan), share], axis=1)


def auc(ranks: RankCounts) -> Figures:
    """Returns the area under the ROC curve; ties count one half."""
    fpr, tpr = ranks.rates()
    return (np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(axis=1)


def average_precision(ranks: RankCounts) -> Figures:
    """Returns the sum of precision times gained recall over thresholds, fakes positive."""
    true = np.cumsum(ranks.fake, axis=1)
    found = true + np.cumsum(ranks.real, axis=1)
    precision = np.divide(true, found, out=np.zeros_like(true), where=found > 0)
    area = (precision * np.diff(_cumulative_share(ranks.fake), axis=1)).sum(axis=1)
    return np.where(ranks.real.sum(axis=1) > 0, area, np.nan)  # without reals it is always 1


def eer(ranks: RankCounts) -> Figures:
    """Returns the equal error rate: where the interpolated ROC curve has FPR = 1 - TPR."""
    fpr, tpr = ranks.rates()
    gap = fpr + tpr - 1.0  # rises from -1 to 1 along the curve
    after = np.argmax(gap >= 0, axis=1)
    before = np.maximum(after - 1, 0)
    row = np.arange(len(gap))
    low, high = gap[row, before], gap[row, after]
    share = np.divide(-low, high - low, out=np.full_like(low, np.nan), where=high > low)
    return fpr[row, before] + share * (fpr[row, after] - fpr[row, before])


def eer_nearest(ranks: RankCounts) -> Figures:
    """Returns FPR at the threshold where FPR and FNR are nearest, without interpolation."""
    fpr, tpr = ranks.rates()
    gap = np.abs(1.0 - tpr - fpr)
    nearest = np.argmin(np.where(np.isnan(gap), np.inf, gap), axis=1)
    return fpr[np.arange(len(gap)), nearest]


def tpr_at_fpr(ranks: RankCounts, limit: float) -> Figures:
    """Returns the highest true-positive rate of a threshold whose FPR is at most `limit`."""
    fpr, tpr = ranks.rates()
    best = np.where(fpr <= limit, tpr, 0.0).max(axis=1)
    return np.where(np.isnan(fpr[:, 0]) | np.isnan(tpr[:, 0]), np.nan, best)


def confusion(scores: Scores, labels: LabelArray, weights: Weights) -> dict[str, Figures]:
    """Returns accuracy, balanced accuracy, precision, recall, F1 and macro-F1 at threshold 0.5.

    Macro-F1 is the mean of the F1 of fakes and that of reals. Precision is 0 when nothing is called
    fake, as in scikit-learn; precision, recall and F1 are undefined without fakes, balanced
    accuracy and macro-F1 without either class.
    """
    called, fake = scores >= THRESHOLD, labels == 1
    tp, fn = weights @ (called & fake), weights @ (~called & fake)
    fp, tn = weights @ (called & ~fake), weights @ (~called & ~fake)
    recall = _ratio(tp, tp + fn)
    precision = np.where(tp + fn > 0, np.nan_to_num(_ratio(tp, tp + fp)), np.nan)
    f1 = np.where(tp + fn > 0, _ratio(2 * tp, 2 * tp + fp + fn), np.nan)
    f1_of_reals = np.where(tn + fp > 0, _ratio(2 * tn, 2 * tn + fn + fp), np.nan)
    return {
        "accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "balanced_accuracy": (recall + _ratio(tn, tn + fp)) / 2,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "macro_f1": (f1 + f1_of_reals) / 2,
    }


def proper_scores(scores: Scores, labels: LabelArray, weights: Weights) -> dict[str, Figures]:
    """Returns log loss (natural, clipped at the resolution of float64) and the Brier score."""
    tiny = np.finfo(np.float64).eps
    of_label = np.clip(np.where(labels == 1, scores, 1.0 - scores), tiny, 1.0 - tiny)
    total = weights.sum(axis=1)
    return {
        "log_loss": _ratio(weights @ -np.log(of_label), total),
        "brier": _ratio(weights @ np.square(scores - labels), total),
    }


def ece(scores: Scores, labels: LabelArray, weights: Weights) -> Figures:
    """Returns the expected calibration error of P(fake) in 15 bins of equal width.

    The mean, over bins weighted by their share, of |mean score - share of fakes|.
    """
    bins = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    excess = np.zeros((ECE_BINS, len(scores)))
    excess[bins, np.arange(len(scores))] = scores - labels
    return _ratio(np.abs(weights @ excess.T).sum(axis=1), weights.sum(axis=1))


def _ratio(numerator: Figures, denominator: Figures) -> Figures:
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0
    )


def compute_statistics(scores: Scores, labels: LabelArray, weights: Weights) -> dict[str, Figures]:
    """Returns every video-level metric of CONTRACTS, `f64[R]` each, by its public name."""
    ranks = RankCounts(scores, labels, weights)
    return {
        "video_auc": auc(ranks),
        "ap": average_precision(ranks),
        "eer": eer(ranks),
        **confusion(scores, labels, weights),
        **proper_scores(scores, labels, weights),
        "ece": ece(scores, labels, weights),
    }


def resample(
    n: int, resamples: int, *, seed: int, cells: int = 2_000_000
) -> Iterator[Float[np.ndarray, "R N"]]:
    """Yields bootstrap counts of `n` videos: `resamples` rows in all, few at a time."""
    rng = np.random.default_rng(seed)
    step = max(1, cells // max(n, 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
