"""Tests of differences: DeLong's covariance of AUCs, and Holm's correction for several tests."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm, rankdata


def delong_covariance(
    scores: Float[np.ndarray, "D V"], labels: Int[np.ndarray, "V"]
) -> tuple[Float[np.ndarray, "D"], Float[np.ndarray, "D D"]]:
    """Returns the AUCs of detectors on the same videos, and their covariance.

    The videos must be independent. By DeLong, DeLong and Clarke-Pearson (1988), computed from ranks
    in O(D V log V) (Sun and Xu, 2014).

    Args:
        scores: P(fake) of each detector for each video.
        labels: Label of each video; both classes must have two videos or more.
    """
    fake = labels == 1
    m, n = int(fake.sum()), int((~fake).sum())
    every = rankdata(scores, axis=1)
    # For a fake the share of reals below it, for a real the share of fakes above it.
    of_fakes = (every[:, fake] - rankdata(scores[:, fake], axis=1)) / n
    of_reals = 1.0 - (every[:, ~fake] - rankdata(scores[:, ~fake], axis=1)) / m
    covariance = np.cov(of_fakes).reshape(len(scores), -1) / m
    return of_fakes.mean(axis=1), covariance + np.cov(of_reals).reshape(len(scores), -1) / n


def delong_p_value(scores: Float[np.ndarray, "2 V"], labels: Int[np.ndarray, "V"]) -> float:
    """Returns the two-sided p-value for equal AUCs of two detectors.

    It is 1 where the AUCs are equal and do not vary, as of equal detectors. It is NaN with fewer
    than two videos of a class, and where the AUCs differ without any variance.

    Args:
        scores: P(fake) of both detectors for each video.
        labels: Label of each video.
    """
    if min((labels == 1).sum(), (labels == 0).sum()) < 2:
        return float("nan")
    aucs, covariance = delong_covariance(scores, labels)
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    if variance <= 1e-18:  # every video adds the same to the difference
        return 1.0 if abs(difference) < 1e-12 else float("nan")
    return float(2.0 * norm.sf(abs(difference) / np.sqrt(variance)))


def correct_holm(p_values: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Returns p-values that are corrected for their number (Holm, 1979); NaNs are not counted.

    The k-th smallest of N is multiplied by N - k + 1, is at least as large as the one before it,
    and at most 1.
    """
    corrected = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected
