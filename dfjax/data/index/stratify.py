"""Assigns units of several videos to parts of given shares, stratified."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

PASSES = 5  # passes of single moves after the first assignment
SMALL = 5000  # largest number of units for which single moves are tried


def assign_units(
    counts: Float[np.ndarray, "U K"], shares: Float[np.ndarray, "P"], order: Sequence[int]
) -> Int[np.ndarray, "U"]:
    """Returns the part of each unit, by a greedy minimisation of squared relative deviations.

    The deviation of a stratum is relative to its size, so that a rare method counts as much as a
    frequent one. Every part with a positive share gets at least one unit.

    Args:
        counts: Number of videos of each unit in each stratum.
        shares: Shares of the parts.
        order: All units, in the order in which they are assigned.
    """
    totals = counts.sum(0)
    want = np.outer(shares / shares.sum(), totals)  # [P, K]
    weighted = counts / totals
    have = np.zeros_like(want)
    part = np.zeros(len(counts), np.int64)
    closed = np.where(shares > 0, 0.0, np.inf)
    for u in order:
        part[u] = np.argmin((have - want) @ weighted[u] + closed)
        have[part[u]] += counts[u]
    for p in np.flatnonzero(shares > 0).tolist():
        _fill_empty(p, part, counts, have, order)
    for _ in range(PASSES if len(counts) <= SMALL else 0):
        if not _improve(part, counts, weighted, have, want, closed, order):
            break
    return part


def _fill_empty(
    p: int,
    part: Int[np.ndarray, "U"],
    counts: Float[np.ndarray, "U K"],
    have: Float[np.ndarray, "P K"],
    order: Sequence[int],
) -> None:
    """Moves the last (smallest) unit of the part with the most units to part `p` if it is empty."""
    if (part == p).any():
        return
    richest = np.bincount(part).argmax()
    u = next(u for u in reversed(order) if part[u] == richest)
    have[richest] -= counts[u]
    have[p] += counts[u]
    part[u] = p


def _improve(
    part: Int[np.ndarray, "U"],
    counts: Float[np.ndarray, "U K"],
    weighted: Float[np.ndarray, "U K"],
    have: Float[np.ndarray, "P K"],
    want: Float[np.ndarray, "P K"],
    closed: Float[np.ndarray, "P"],
    order: Sequence[int],
) -> bool:
    """Moves single units that reduce the deviation from the shares; returns whether any moved."""
    moved = False
    sizes = np.bincount(part, minlength=len(have))
    for u in reversed(order):
        a = part[u]
        if sizes[a] == 1:
            continue  # a part keeps its last unit
        cost = 2 * (have - want) @ weighted[u] + closed
        cost += np.where(np.arange(len(have)) == a, -1, 1) * (counts[u] @ weighted[u])
        b = int(np.argmin(cost))
        if cost[b] < cost[a] - 1e-9:
            have[a] -= counts[u]
            have[b] += counts[u]
            sizes[a] -= 1
            sizes[b] += 1
            part[u] = b
            moved = True
    return moved
