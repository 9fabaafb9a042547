"""Rules that combine the P(fake) of several detectors for the same videos.

`majority`, `mean_prob`, `mean_logit` and `confidence` need no fit. `weights` and `stacking` are
logistic regressions of the detectors' logits: the first with a fixed small penalty, the second with
the penalty that is best in cross-validation (Wolpert, 1992; the scores should be out-of-fold).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import expit

from dfjax.errors import unknown
from dfjax.evaluation.calibration.maps import compute_log_losses, find_logits
from dfjax.evaluation.statistics.folds import split_folds

FIXED = ("majority", "mean_prob", "mean_logit", "confidence")
FITTED = ("weights", "stacking")
METHODS = (*FIXED, *FITTED)

PENALTY = 1e-4
"""Factor of half the squared weights in the mean log loss of `weights`."""
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

MemberProbs = Float[np.ndarray, "D V"]
Values = Float[np.ndarray, "V"]
Labels = Int[np.ndarray, "V"]


class Rule(NamedTuple):
    """A rule and its parameters.

    Attributes:
        method: One of `METHODS`.
        weights: Weight of the logit of each detector; empty for the rules without a fit.
        bias: Logit that is added.
    """

    method: str
    weights: tuple[float, ...] = ()
    bias: float = 0.0

    def __call__(self, probs: MemberProbs) -> Values:
        """Returns the combined P(fake) of each video.

        Args:
            probs: P(fake) of each detector for each video.
        """
        if self.method == "mean_prob":
            return probs.mean(axis=0)
        if self.method == "mean_logit":
            return expit(find_logits(probs).mean(axis=0))
        if self.method == "majority":
            return vote(probs)
        if self.method == "confidence":
            return vote_by_confidence(probs)
        return expit(np.asarray(self.weights) @ find_logits(probs) + self.bias)


def vote(probs: MemberProbs) -> Values:
    """Returns (votes for fake + mean probability) / (detectors + 1).

    It is at least 1/2 where most detectors are; a tie is broken by the mean probability.
    """
    return ((probs >= 0.5).sum(axis=0) + probs.mean(axis=0)) / (len(probs) + 1)


def vote_by_confidence(probs: MemberProbs) -> Values:
    """Returns the mean probability weighted by confidence, |2 p - 1|; 1/2 where all are 1/2."""
    confidence = np.abs(2 * probs - 1)
    total = confidence.sum(axis=0)
    sums = (confidence * probs).sum(axis=0)
    return np.divide(sums, total, out=np.full(len(total), 0.5), where=total > 0)


def fit_rule(
    method: str,
    probs: MemberProbs,
    labels: Labels,
    clusters: Int[np.ndarray, "V"],
    *,
    nonnegative: bool = False,
    seed: int = 0,
) -> Rule:
    """Returns the rule of a method, fitted where it has parameters.

    Args:
        method: One of `METHODS`.
        probs: P(fake) of each detector for each video.
        labels: Label of each video.
        clusters: Number of the cluster of each video; a cluster is in one fold.
        nonnegative: Whether weights must not be negative.
        seed: Seed of the folds.

    Raises:
        UsageError: The method is unknown.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if method in FIXED:
        return Rule(method)
    penalty = PENALTY
    if method == "stacking":
        penalty = _choose_penalty(probs, labels, clusters, nonnegative, seed)
    weights, bias = fit_logistic(find_logits(probs), labels, penalty, nonnegative=nonnegative)
    return Rule(method, weights, bias)


def fit_logistic(
    logits: MemberProbs, labels: Labels, penalty: float, *, nonnegative: bool = False
) -> tuple[tuple[float, ...], float]:
    """Returns weights and bias with the least mean log loss + penalty / 2 * squared weights."""

    def loss(line: Float[np.ndarray, "P"]) -> tuple[float, Float[np.ndarray, "P"]]:
        values = line[:-1] @ logits + line[-1]
        losses = np.logaddexp(0.0, values) - labels * values
        excess = (expit(values) - labels) / len(labels)
        slope = np.r_[logits @ excess + penalty * line[:-1], excess.sum()]
        return float(losses.mean() + penalty / 2 * (line[:-1] ** 2).sum()), slope

    start = np.r_[np.full(len(logits), 1 / len(logits)), 0.0]
    bounds = [(0.0 if nonnegative else None, None)] * len(logits) + [(None, None)]
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000},
    )  # fmt: skip
    return tuple(map(float, found.x[:-1])), float(found.x[-1])


def cross_fuse(
    method: str,
    probs: MemberProbs,
    labels: Labels,
    clusters: Int[np.ndarray, "V"],
    *,
    nonnegative: bool = False,
    seed: int = 0,
) -> Values:
    """Returns the combined P(fake) of each video by a rule that was fitted without its fold."""
    if method in FIXED:
        return Rule(method)(probs)
    fused = np.full(len(labels), np.nan)
    for fitted, left in split_folds(labels, clusters, seed):
        rule = fit_rule(
            method, probs[:, fitted], labels[fitted], clusters[fitted],
            nonnegative=nonnegative, seed=seed,
        )  # fmt: skip
        fused[left] = rule(probs[:, left])
    return fused


def _choose_penalty(
    probs: MemberProbs,
    labels: Labels,
    clusters: Int[np.ndarray, "V"],
    nonnegative: bool,
    seed: int,
) -> float:
    """Returns the penalty with the least log loss of left-out videos."""
    logits, folds = find_logits(probs), split_folds(labels, clusters, seed)

    def measure(penalty: float) -> float:
        total = 0.0
        for fitted, left in folds:
            weights, bias = fit_logistic(
                logits[:, fitted], labels[fitted], penalty, nonnegative=nonnegative
            )
            found = expit(np.asarray(weights) @ logits[:, left] + bias)
            total += float(compute_log_losses(found, labels[left]).sum())
        return total

    return min(PENALTIES, key=measure)
