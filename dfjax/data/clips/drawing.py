"""Which members of a set come how often: evenly, in turns between groups, or by their loss."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Numbers = Int[np.ndarray, "_"]
Weights = Float[np.ndarray, "_"]


def fill(n: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "{length}"]:
    """Returns `length` numbers below n: permutations one after another, so all equally often."""
    return np.concatenate([rng.permutation(n) for _ in range(math.ceil(length / n))])[:length]


def draw_weighted(
    weights: Float[np.ndarray, "n"], length: int, rng: np.random.Generator
) -> Int[np.ndarray, "{length}"]:
    """Returns `length` numbers below n in random order, each as often as its weight says.

    Systematic sampling: number i comes `length * weights[i] / sum(weights)` times, rounded up or
    down, and not more unevenly than that.
    """
    order = rng.permutation(len(weights))
    upto = np.cumsum(weights[order])
    points = (np.arange(length) + rng.random()) * (upto[-1] / length)
    places = np.searchsorted(upto, points, side="right")
    return rng.permutation(order[np.minimum(places, len(order) - 1)])


def compute_weights(losses: Float[np.ndarray, "n"], strength: float) -> Float[np.ndarray, "n"]:
    """Returns how often each video is to come, 1 on average.

    `1 - strength` of it is the same for all; the rest goes by the loss over the mean loss. A video
    that has not been seen, whose loss is below 0, counts as one of the mean loss.
    """
    seen = losses >= 0
    mean = losses[seen].mean() if seen.any() else 0.0
    if not mean:
        return np.ones(len(losses))
    return 1.0 - strength + strength * np.where(seen, losses / mean, 1.0)


class Stratum(NamedTuple):
    """Units (videos, or pairs of them) of which every batch has the same number.

    Attributes:
        members: rows of the index; those of a unit come together.
        groups: of units that take turns, none of them empty.
        weights: per group, how often its units come; None: all of a group equally often.
    """

    members: Int[np.ndarray, "n m"]
    groups: list[Numbers]
    weights: list[Weights] | None = None

    @property
    def length(self) -> int:
        """How many draws it takes to come to every unit."""
        return max(map(len, self.groups)) * len(self.groups)

    def take(self, length: int, rng: np.random.Generator) -> Int[np.ndarray, "{length} m"]:
        """Returns the members of `length` units."""
        turns = math.ceil(length / len(self.groups))
        if self.weights is None:
            drawn = [group[fill(len(group), turns, rng)] for group in self.groups]
        else:
            drawn = [
                group[draw_weighted(weights, turns, rng)]
                for group, weights in zip(self.groups, self.weights)
            ]
        return self.members[np.stack(drawn, axis=1).reshape(-1)[:length]]
