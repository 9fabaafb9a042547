"""Random sampling without large deviations: uniform, balanced between groups, or by the loss."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Numbers = Int[np.ndarray, "_"]
Weights = Float[np.ndarray, "_"]


def fill(n: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "{length}"]:
    """Returns `length` numbers below n, taken from consecutive random permutations.

    The counts of any two numbers therefore differ by at most 1.

    Args:
        n: Number of different numbers.
        length: Number of draws.
        rng: Random generator.
    """
    return np.concatenate([rng.permutation(n) for _ in range(math.ceil(length / n))])[:length]


def draw_weighted(
    weights: Float[np.ndarray, "n"], length: int, rng: np.random.Generator
) -> Int[np.ndarray, "{length}"]:
    """Returns `length` numbers below n in random order, drawn by systematic sampling.

    Number i occurs `length * weights[i] / sum(weights)` times, rounded up or down.

    Args:
        weights: Non-negative weight of each number.
        length: Number of draws.
        rng: Random generator.
    """
    order = rng.permutation(len(weights))
    upto = np.cumsum(weights[order])
    points = (np.arange(length) + rng.random()) * (upto[-1] / length)
    places = np.searchsorted(upto, points, side="right")
    return rng.permutation(order[np.minimum(places, len(order) - 1)])


def compute_weights(losses: Float[np.ndarray, "n"], strength: float) -> Float[np.ndarray, "n"]:
    """Returns the sampling weight of each video, 1 on average.

    The weight is `1 - strength + strength * loss / mean loss`. A video without a loss yet has the
    weight 1.

    Args:
        losses: Last loss of each video; negative if it has none yet.
        strength: Share of the weight that depends on the loss, from 0 to 1.
    """
    seen = losses >= 0
    mean = losses[seen].mean() if seen.any() else 0.0
    if not mean:
        return np.ones(len(losses))
    return 1.0 - strength + strength * np.where(seen, losses / mean, 1.0)


class Stratum(NamedTuple):
    """Units (videos or pairs of videos) of which every batch has the same number.

    Attributes:
        members: Rows of the index, one array row per unit. A unit's members are drawn together.
        groups: Non-empty groups of units (numbers of rows of `members`), drawn from alternately.
        weights: Sampling weights of the units of each group, or None for equal weights.
    """

    members: Int[np.ndarray, "n m"]
    groups: list[Numbers]
    weights: list[Weights] | None = None

    @property
    def length(self) -> int:
        """Number of draws that include every unit at least once, with equal weights."""
        return max(map(len, self.groups)) * len(self.groups)

    def take(self, length: int, rng: np.random.Generator) -> Int[np.ndarray, "{length} m"]:
        """Returns the members of `length` randomly drawn units.

        Args:
            length: Number of draws.
            rng: Random generator.
        """
        turns = math.ceil(length / len(self.groups))
        if self.weights is None:
            drawn = [group[fill(len(group), turns, rng)] for group in self.groups]
        else:
            drawn = [
                group[draw_weighted(weights, turns, rng)]
                for group, weights in zip(self.groups, self.weights)
            ]
        return self.members[np.stack(drawn, axis=1).reshape(-1)[:length]]
