"""Bins of a reliability diagram: what probabilities say, and what is true of their videos."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dfjax import FAKE

BINS = 10


class Bins(NamedTuple):
    """The bins of equal width that have videos, in ascending order.

    Attributes:
        means: Mean P(fake) of the videos of each bin.
        shares: Share of fakes among them.
        counts: Their number.
    """

    means: Float[np.ndarray, "K"]
    shares: Float[np.ndarray, "K"]
    counts: Int[np.ndarray, "K"]


def compute_bins(
    probs: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], bins: int = BINS
) -> Bins:
    """Returns the bins of a reliability diagram.

    Args:
        probs: P(fake) of each video.
        labels: Label of each video.
        bins: Number of bins from 0 to 1.
    """
    place = np.clip((probs * bins).astype(int), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    used = np.flatnonzero(counts)
    means = np.bincount(place, probs, bins)[used] / counts[used]
    shares = np.bincount(place, labels == FAKE, bins)[used] / counts[used]
    return Bins(means, shares, counts[used])
