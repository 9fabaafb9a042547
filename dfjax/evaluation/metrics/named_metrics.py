"""Metrics by the conventions of published tables, which their names state.

They are computed once per table, without intervals, from the scores of its videos.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from dfjax.evaluation.statistics import weighted
from dfjax.evaluation.statistics.class_scores import ECE_BINS, THRESHOLD

Scores = Float[np.ndarray, "N"]
Labels = Int[np.ndarray, "N"]

FPR_LIMITS = {
    "tpr_at_fpr_001": 0.001,
    "tpr_at_fpr_01": 0.01,
    "tpr_at_fpr_05": 0.05,
    "tpr_at_fpr_10": 0.10,
}
SURE, UNSURE = 0.99, 0.90
"""Confidences, max(p, 1 - p): the shares of videos above the first and below the second."""


class Frozen(NamedTuple):
    """A threshold that was chosen on other videos than those it is applied to.

    Attributes:
        threshold: A video is called fake from this score on.
        source: What it was chosen on, for the report.
    """

    threshold: float
    source: str


def name_metrics(table: weighted.Classes) -> dict[str, float]:
    """Returns the metrics that need the order of scores only.

    `eer_nearest` is the FPR at the corner of the ROC curve where FPR and FNR are closest (as in
    DeepfakeBench),
    `map_ovr` the mean of the average precisions of fakes and of reals (GenD), `tpr_at_fpr_05` the
    TPR at an FPR of at most 5 %.

    Args:
        table: Classes under one weighting.
    """
    curve = weighted.RocSteps(table)
    of_reals = weighted.RocSteps(table.swap())  # reals are found by low scores
    both = weighted.average_precision(curve) + weighted.average_precision(of_reals)
    limits = {name: weighted.tpr_at_fpr(curve, limit) for name, limit in FPR_LIMITS.items()}
    found = {"eer_nearest": weighted.eer_nearest(table), "map_ovr": both / 2, **limits}
    return {name: float(values[0]) for name, values in found.items()}


def count_verdicts(
    scores: Scores, labels: Labels, threshold: float = THRESHOLD
) -> dict[str, float]:
    """Returns the confusion matrix `tp fp fn tn` (fake is positive) as numbers of videos.

    Args:
        scores: P(fake) of each video.
        labels: Label of each video.
        threshold: A video is called fake from this score on.
    """
    called, fake = scores >= threshold, labels == 1
    counts = {
        "tp": called & fake,
        "fp": called & ~fake,
        "fn": ~called & fake,
        "tn": ~called & ~fake,
    }
    return {name: float(mask.sum()) for name, mask in counts.items()}


def measure_verdicts(scores: Scores, labels: Labels, frozen: Frozen | None) -> dict[str, float]:
    """Returns the metrics of verdicts and confidences; NaN where one is undefined.

    Besides the confusion matrix these are precision, recall and F1 of reals, the accuracy at the
    threshold of the videos' own EER (`accuracy_at_eer`, optimistic), accuracy and balanced accuracy
    at a frozen threshold (`_at_val`), `ece_equal_mass`, and the shares of confident videos.

    Args:
        scores: P(fake) of each video, in ascending order.
        labels: Label of each video.
        frozen: Threshold that was chosen on other videos, or None.
    """
    counts = count_verdicts(scores, labels)
    tp, fp, fn, tn = (counts[name] for name in ("tp", "fp", "fn", "tn"))
    confidence = np.maximum(scores, 1.0 - scores)
    fixed = count_verdicts(scores, labels, frozen.threshold) if frozen else {}
    return counts | {
        "precision_real": (_ratio(tn, tn + fn) if tn + fn else 0.0) if tn + fp else np.nan,
        "recall_real": _ratio(tn, tn + fp),
        "f1_real": _ratio(2 * tn, 2 * tn + fn + fp) if tn + fp else np.nan,
        "accuracy_at_eer": _accuracy_at_eer(scores, labels),
        "accuracy_at_val": _accuracy(fixed) if frozen else np.nan,
        "balanced_accuracy_at_val": _balanced_accuracy(fixed) if frozen else np.nan,
        "ece_equal_mass": _ece_equal_mass(scores, labels),
        "confidence_above_99": _share(confidence > SURE),
        "confidence_below_90": _share(confidence < UNSURE),
    }


def freeze_threshold(scores: Scores, labels: Labels, source: str) -> Frozen | None:
    """Returns the threshold with the highest balanced accuracy, or None with one class only.

    Of several the middle of the highest one's range is chosen: halfway to the next lower score.

    Args:
        scores: P(fake) of each video of the validation split.
        labels: Label of each of these videos.
        source: What these videos are, for the report.
    """
    fake = labels == 1
    if not fake.any() or fake.all():
        return None
    values, place = np.unique(scores, return_inverse=True)
    fakes = np.bincount(place, fake, len(values))[::-1].cumsum()[::-1] / fake.sum()
    reals = np.bincount(place, ~fake, len(values))[::-1].cumsum()[::-1] / (~fake).sum()
    gain = fakes - reals  # TPR - FPR from each score on
    best = int(len(gain) - 1 - np.argmax(gain[::-1]))
    below = values[best - 1] if best else values[best]
    return Frozen(float((values[best] + below) / 2), source)


def recall_at_fpr(
    scores: Scores, labels: Labels, methods: dict[str, Bool[np.ndarray, "N"]]
) -> dict[str, dict[str, object]]:
    """Returns the recall of each manipulation where all reals have a fixed FPR, by its name.

    Unlike `tpr_at_fpr_*` of a manipulation, whose reals are those of its data set, there is one
    threshold for all: `{"fpr_05": {"fpr": 0.048, "above": 0.7, "recall": {"FaceSwap": 0.9}}}`. A
    video is called fake if its score is greater than `above`.

    Args:
        scores: P(fake) of each video.
        labels: Label of each video.
        methods: Mask of the videos of each manipulation; reals in it are not counted.
    """
    reals = np.sort(scores[labels == 0])[::-1]
    if not len(reals):
        return {}
    found: dict[str, dict[str, object]] = {}
    for name, limit in FPR_LIMITS.items():
        above = float(reals[min(int(limit * len(reals) + 1e-9), len(reals) - 1)])
        called = scores > above
        recall = {method: _share(called[mask & (labels == 1)]) for method, mask in methods.items()}
        found[name.removeprefix("tpr_at_")] = {
            "fpr": float((reals > above).mean()),
            "above": above,
            "recall": {method: one if np.isfinite(one) else None for method, one in recall.items()},
        }
    return found


def _accuracy_at_eer(scores: Scores, labels: Labels) -> float:
    """Returns the accuracy at the highest threshold where FPR and FNR are closest."""
    fake = labels == 1
    fakes, reals = int(fake.sum()), int((~fake).sum())
    if not fakes or not reals:
        return float("nan")
    first = np.flatnonzero(np.diff(scores, prepend=-np.inf))  # of each distinct score, ascending
    below = np.r_[0, np.cumsum(fake)]
    missed = below[first] / fakes
    false = 1.0 - (first - below[first]) / reals
    best = len(first) - 1 - int(np.argmin(np.abs(false - missed)[::-1]))
    right = fakes - below[first[best]] + first[best] - below[first[best]]
    return float(right / len(scores))


def _ece_equal_mass(scores: Scores, labels: Labels) -> float:
    """Returns the ECE in bins of equally many videos, whose sizes differ by one at most.

    Where a bin ends between equal scores, both parts have the same share of fakes.
    """
    if not len(scores):
        return float("nan")
    edges = np.linspace(0, len(scores), min(ECE_BINS, len(scores)) + 1).round().astype(int)
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(place, labels) / sizes
    excess = np.add.reduceat(scores - shares[place], edges[:-1])
    return float(np.abs(excess).sum() / len(scores))


def _accuracy(counts: dict[str, float]) -> float:
    return _ratio(counts["tp"] + counts["tn"], sum(counts.values()))


def _balanced_accuracy(counts: dict[str, float]) -> float:
    recall = _ratio(counts["tp"], counts["tp"] + counts["fn"])
    return (recall + _ratio(counts["tn"], counts["tn"] + counts["fp"])) / 2


def _share(mask: Bool[np.ndarray, "N"]) -> float:
    return float(mask.mean()) if len(mask) else float("nan")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
