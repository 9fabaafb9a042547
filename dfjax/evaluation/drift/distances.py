"""Distances between two samples of one property: Kolmogorov-Smirnov and the stability index (PSI).

A drift is reported where both say so: the difference is unlikely by chance (p-values corrected by
Holm), and it is large (PSI), since with many videos any difference is unlikely by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln
from scipy.stats import betabinom, ks_2samp, kstwo

from dfjax.evaluation.statistics.significance import correct_holm

LEVEL = 0.01
"""Probability of reporting a drift where there is none."""
LARGE = 0.1
"""Stability index from which a difference is reported, above what it is by chance."""
BINS = 10
JUDGED = 0.5
"""Largest `least_ks` with which samples without a visible drift count as alike."""
SHARES = np.linspace(0.0, 1.0, 51)
"""Shares of fakes among which the one is searched that makes two samples most alike."""

Values = Float[np.ndarray, "N"]
Sample = Float[np.ndarray, "M"]


class Distance(NamedTuple):
    """The difference of one property between two samples.

    Attributes:
        n: Number of values of the reference and of the sample.
        median: Median of each.
        psi: Stability index.
        psi_chance: Its mean where both are drawn from one distribution.
        ks: Largest difference of the two cumulative distributions.
        p: Probability of such a difference by chance; corrected by `compare_properties`.
        least_ks: Smallest difference that could be told from chance; above 1 none could.
        drifted: Whether a drift is reported.
    """

    n: tuple[int, int]
    median: tuple[float, float]
    psi: float
    psi_chance: float
    ks: float
    p: float
    least_ks: float
    drifted: bool = False


def compute_psi(reference: Values, sample: Sample, *, bins: int = BINS) -> float:
    """Returns the population stability index, sum of (q - p) ln(q / p) over bins.

    The bins have equal shares of the reference. Half a value is added to every bin, so that empty
    ones give finite numbers.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1], method="nearest"))
    repeated = edges[[np.count_nonzero(reference == edge) > 1 for edge in edges]]
    edges = np.unique(np.r_[edges, np.nextafter(repeated, np.inf)])  # a value of many has a bin
    p, q = (_bin(values, edges) for values in (reference, sample))
    return float(((q - p) * np.log(q / p)).sum())


def compute_psi_chance(n: int, m: int, *, bins: int = BINS) -> float:
    """Returns the mean of `compute_psi` where both samples are drawn from one distribution.

    It tends to (bins - 1) (1 / n + 1 / m), and is much smaller for few values, which leave most
    bins empty, whose share is then what `compute_psi` adds.

    Args:
        n: Number of values of the reference.
        m: Number of values that are compared with it.
        bins: Number of bins.
    """
    counts = np.arange(m + 1)
    chances = betabinom.pmf(counts, m, n / bins, n - n / bins)  # of the values in a bin
    p, q = 1 / bins, (counts + 0.5) / (m + 0.5 * bins)
    return float(bins * (chances * (q - p) * np.log(q / p)).sum())


def _bin(values: Values, edges: Float[np.ndarray, "E"]) -> Float[np.ndarray, "B"]:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return (counts + 0.5) / (counts + 0.5).sum()


def compute_mixture_distance(
    reference: Values, labels: Int[np.ndarray, "N"], sample: Sample
) -> tuple[float, float]:
    """Returns the KS distance to the nearest mixture of two classes, and its share of fakes.

    A sample with another share of fakes than the reference is not a drift of the classes. The
    distance is at most that to the true mixture, so that its p-value is not too small.
    """
    classes = [np.sort(reference[labels == label]) for label in (0, 1)]
    ordered = np.sort(sample)
    points = np.unique(np.concatenate([*classes, ordered]))
    reals, fakes, found = (
        np.searchsorted(values, points, side="right") / len(values)
        for values in (*classes, ordered)
    )
    mixed = (1 - SHARES[:, None]) * reals + SHARES[:, None] * fakes
    distances = np.abs(mixed - found).max(axis=1)
    best = int(distances.argmin())
    return float(distances[best]), float(SHARES[best])


def measure_distance(
    reference: Values, sample: Sample, labels: Int[np.ndarray, "N"] | None = None
) -> Distance:
    """Returns the difference between two samples of finite values.

    Args:
        reference: Values of the reference.
        sample: Sample that are compared with it.
        labels: Labels of the reference, if the share of fakes may differ; None to compare all.
    """
    n, m = len(reference), len(sample)
    share: float | None = None
    if labels is None or len(np.unique(labels)) < 2:
        test = ks_2samp(reference, sample)
        ks, p = float(test.statistic), float(test.pvalue)
    else:
        ks, share = compute_mixture_distance(reference, labels, sample)
        p = float(kstwo.sf(ks, max(1, round(n * m / (n + m)))))
    p = min(1.0, max(p, _find_least_p(n, m)))
    psi = compute_psi(_reweigh(reference, labels, share), sample)
    chance = compute_psi_chance(n, m)
    medians = (float(np.median(reference)), float(np.median(sample)))
    return Distance((n, m), medians, psi, chance, ks, p, find_least_ks(n, m))


def _reweigh(reference: Values, labels: Int[np.ndarray, "N"] | None, share: float | None) -> Values:
    """Returns evenly spaced quantiles of the mixture of classes with a share of fakes."""
    if labels is None or share is None:
        return reference
    order = np.argsort(reference, kind="stable")
    fake = labels[order] == 1
    weights = np.where(fake, share / fake.sum(), (1 - share) / (~fake).sum())
    middle = np.cumsum(weights) - weights / 2
    count = len(reference)
    return np.interp((np.arange(count) + 0.5) / count, middle, reference[order])


def compare_properties(
    reference: Mapping[str, Float[np.ndarray, "_"]],
    sample: Mapping[str, Float[np.ndarray, "_"]],
    labels: Int[np.ndarray, "_"] | None = None,
) -> dict[str, Distance]:
    """Returns the difference of every property that both have, with p-values corrected by Holm.

    Args:
        reference: Values by property, NaN where they are not known.
        sample: Sample that are compared with it.
        labels: Labels of the reference (see `measure_distance`).
    """
    found = {}
    for name, values in reference.items():
        known, others = np.isfinite(values), sample.get(name, np.empty(0))
        others = others[np.isfinite(others)]
        if known.sum() < 2 or not len(others):
            continue
        found[name] = measure_distance(
            values[known], others, None if labels is None else labels[known]
        )
    corrected = correct_holm(np.array([one.p for one in found.values()]))
    return {
        name: one._replace(
            p=float(p),
            drifted=bool(p < LEVEL and one.psi - one.psi_chance > LARGE),
            least_ks=find_least_ks(*one.n, level=LEVEL / len(found)),
        )
        for (name, one), p in zip(found.items(), corrected)
    }


def _find_least_p(n: int, m: int) -> float:
    """Returns the p-value of two samples of which all values of one are above the other's."""
    return min(1.0, 2 * math.exp(gammaln(n + 1) + gammaln(m + 1) - gammaln(n + m + 1)))


def find_least_ks(n: int, m: int, *, level: float = LEVEL) -> float:
    """Returns the smallest KS distance with a p-value below the level; infinite if there is none.

    Args:
        n: Number of values of the reference.
        m: Number of values that are compared with it.
        level: Level of the test.
    """
    if _find_least_p(n, m) >= level:
        return math.inf
    return math.sqrt(-math.log(level / 2) / 2 * (n + m) / (n * m))  # Smirnov's limit


def is_judged(found: Mapping[str, Distance]) -> bool:
    """Returns whether there are enough inputs for a drift of half a distribution to be seen."""
    return min((one.least_ks for one in found.values()), default=math.inf) <= JUDGED


def describe_power(found: Mapping[str, Distance], inputs: int) -> str:
    """Returns what drift could have been seen with this number of inputs."""
    least = min((one.least_ks for one in found.values()), default=math.inf)
    said = f"{inputs} input" + ("s" if inputs != 1 else "")
    if least > 1:
        return f"{said}: too few to see any drift from the calibration set"
    return (
        f"{said}: only drifts are seen in which a property's distribution differs by {least:.0%} "
        "or more somewhere (Kolmogorov-Smirnov distance)"
    )
