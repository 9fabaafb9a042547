"""Scores of the videos of one class, sorted, and their sums under many weightings at a time."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

Scores = Float[np.ndarray, "N"]
Weights = Float[np.ndarray, "R N"]
Figures = Float[np.ndarray, "R"]
Places = Int[np.ndarray, "_"]

THRESHOLD = 0.5
ECE_BINS = 15  # Guo et al. 2017


class SortedScores:
    """The scores of N videos of one class in descending order: what does not depend on weights.

    Attributes:
        label: Label of the videos.
        scores: P(fake) of each video, in descending order.
        order: Positions of these scores in the given array; None if it was in this order.
        starts: First position of each distinct score.
        distinct: The G distinct scores in descending order.
    """

    def __init__(self, scores: Scores, *, label: int) -> None:
        """Sorts the scores.

        Args:
            scores: P(fake) of each video.
            label: Label of these videos.
        """
        self.label = label
        in_order = bool((scores[:-1] >= scores[1:]).all())
        self.order = None if in_order else np.argsort(-scores, kind="stable")
        self.scores = scores if self.order is None else scores[self.order]
        self.starts = np.flatnonzero(np.diff(self.scores, prepend=np.inf))
        self.distinct = self.scores[self.starts]
        self._found: dict[SortedScores, tuple[Places, Places]] = {}

    @cached_property
    def log_losses(self) -> Scores:
        """Negative natural logarithm of the probability of the label.

        Probabilities are clipped at the resolution of float64, as in scikit-learn.
        """
        tiny = np.finfo(np.float64).eps
        of_label = self.scores if self.label else 1.0 - self.scores
        return -np.log(np.clip(of_label, tiny, 1.0 - tiny))

    @cached_property
    def errors(self) -> Scores:
        """Score - label of each video."""
        return self.scores - self.label

    @cached_property
    def squared_errors(self) -> Scores:
        """(Score - label) squared."""
        return np.square(self.errors)

    @cached_property
    def bins(self) -> tuple[Places, Places]:
        """The bins of the ECE that have videos, and the first position of each of these bins."""
        bins = np.minimum((self.scores * ECE_BINS).astype(int), ECE_BINS - 1)
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        return bins[starts], starts

    @cached_property
    def mirrored(self) -> SortedScores:
        """The same videos, as they are ordered here, with the other label and negated scores."""
        return SortedScores(-self.scores, label=1 - self.label)

    def find(self, scores: Scores, *, ties: bool) -> Places:
        """Returns the number of distinct scores above each of `scores`; with `ties` also at it."""
        return np.searchsorted(-self.distinct, -scores, side="right" if ties else "left")

    def find_class(self, other: SortedScores) -> tuple[Places, Places]:
        """Returns `find` without and with ties for the distinct scores of the other class."""
        if other not in self._found:
            self._found[other] = (
                self.find(other.distinct, ties=False),
                self.find(other.distinct, ties=True),
            )
        return self._found[other]


class ClassScores:
    """Scores of N videos of one class under R weightings.

    Attributes:
        sorted: The scores.
        counts: Weight at each of the G distinct scores, `f64[R, G]`.
        above: Cumulative weight of the g highest distinct scores, g = 0 to G, `f64[R, G + 1]`.
    """

    def __init__(self, scores: SortedScores, weights: Weights) -> None:
        """Sums the weights.

        Args:
            scores: Scores of the videos.
            weights: Weight of each video in the order that the scores were given in, one row per
                weighting.
        """
        self.sorted = scores
        self._weights = weights if scores.order is None else np.take(weights, scores.order, axis=1)
        tied = len(scores.starts) < len(scores.scores)
        self.counts = (
            np.add.reduceat(self._weights, scores.starts, axis=1) if tied else self._weights
        )
        self.above = np.zeros((len(weights), len(scores.starts) + 1))
        np.cumsum(self.counts, axis=1, out=self.above[:, 1:])

    @property
    def total(self) -> Figures:
        """Weight of all videos."""
        return self.above[:, -1]

    @property
    def called_fake(self) -> Figures:
        """Weight of the videos whose score is at least `THRESHOLD`."""
        return self.above[:, np.count_nonzero(self.sorted.distinct >= THRESHOLD)]

    @cached_property
    def log_loss(self) -> Figures:
        """Sum of the negative natural logarithms of the probability of the label."""
        # In one thread: BLAS would start several, which takes longer here.
        return np.einsum("rn,n->r", self._weights, self.sorted.log_losses)

    @cached_property
    def squared_error(self) -> Figures:
        """Sum of (score - label) squared."""
        return np.einsum("rn,n->r", self._weights, self.sorted.squared_errors)

    @cached_property
    def excess(self) -> Float[np.ndarray, "R BINS"]:
        """Sum of score - label in each of `ECE_BINS` bins of equal width."""
        bins, starts = self.sorted.bins
        excess = np.zeros((len(self._weights), ECE_BINS))
        for number, start, stop in zip(bins, starts, [*starts[1:], len(self.sorted.scores)]):
            weights, errors = self._weights[:, start:stop], self.sorted.errors[start:stop]
            excess[:, number] = np.einsum("rn,n->r", weights, errors)
        return excess

    @cached_property
    def mirrored(self) -> ClassScores:
        """The same videos with the other label and negated scores."""
        return ClassScores(self.sorted.mirrored, self._weights)
