"""The choice of a calibration map by cross-validation, and how reliable it makes probabilities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dfjax.errors import UsageError, unknown
from dfjax.evaluation.calibration.maps import (
    FITS,
    CalibrationMap,
    Labels,
    Probs,
    compute_log_losses,
)
from dfjax.evaluation.statistics.bootstrap import PERCENTILES, resample
from dfjax.evaluation.statistics.folds import split_folds
from dfjax.evaluation.statistics.reliability import BINS, compute_bins

FEWEST = 10
"""Smallest number of videos of each class to calibrate on."""
RESAMPLES = 1000


class Choice(NamedTuple):
    """The chosen map and what it was chosen by.

    Attributes:
        map: Map that is fitted to all videos.
        rows: For every kind `{"kind", "log_loss", "log_loss_ci", "change", "change_ci"}`, all of
            cross-validation; the changes are from no calibration.
        held_out: Probability of each video by the chosen kind, fitted without its fold.
    """

    map: CalibrationMap
    rows: list[dict[str, Any]]
    held_out: Probs


def choose_map(
    probs: Probs,
    labels: Labels,
    clusters: Int[np.ndarray, "N"],
    *,
    kind: str = "auto",
    seed: int = 0,
) -> Choice:
    """Returns the map of the kind with the lowest cross-validated log loss.

    Videos of one cluster are in one fold. The intervals are from resamples of clusters; those of
    changes are paired.

    Args:
        probs: P(fake) of each video.
        labels: Label of each video.
        clusters: Number of the cluster of each video, from 0.
        kind: A key of `FITS`, or `auto`.
        seed: Seed of the folds and resamples.

    Raises:
        UsageError: There are fewer than `FEWEST` videos of a class, all are of two clusters at
            most, or the kind is unknown.
    """
    if kind != "auto" and kind not in FITS:
        raise unknown("calibration", kind, ["auto", *FITS])
    fakes, groups = int(labels.sum()), len(np.unique(clusters))
    if min(fakes, len(labels) - fakes) < FEWEST or groups < 3:
        raise UsageError(
            f"a calibration needs at least {FEWEST} videos of each class, of 3 groups or more; "
            f"there are {len(labels) - fakes} real and {fakes} fake ones of {groups} groups"
        )
    held_out = _cross_fit(probs, labels, clusters, seed)
    losses = {name: compute_log_losses(values, labels) for name, values in held_out.items()}
    rows = [_make_row(name, losses, clusters, seed) for name in FITS]
    best = min(FITS, key=lambda name: float(losses[name].mean())) if kind == "auto" else kind
    return Choice(FITS[best](probs, labels), rows, held_out[best])


def _cross_fit(
    probs: Probs, labels: Labels, clusters: Int[np.ndarray, "N"], seed: int
) -> dict[str, Probs]:
    """Returns the probability of each video by each kind of map, fitted without its fold."""
    held_out = {name: np.array(probs, np.float64) for name in FITS}
    for fitted, left in split_folds(labels, clusters, seed):
        if 0 < labels[fitted].sum() < len(fitted):
            for name, fit in FITS.items():
                held_out[name][left] = fit(probs[fitted], labels[fitted])(probs[left])
    return held_out


def _make_row(
    name: str, losses: dict[str, Probs], clusters: Int[np.ndarray, "N"], seed: int
) -> dict[str, Any]:
    change = losses[name] - losses["none"]
    return {
        "kind": name,
        "log_loss": float(losses[name].mean()),
        "log_loss_ci": compute_mean_interval(losses[name], clusters, seed=seed),
        "change": float(change.mean()),
        "change_ci": compute_mean_interval(change, clusters, seed=seed),
    }


def compute_mean_interval(
    values: Probs, clusters: Int[np.ndarray, "N"], *, seed: int = 0
) -> list[float]:
    """Returns the 95 % interval of the mean of the videos, from resamples of whole clusters."""
    _, number = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(number, values), np.bincount(number)
    drawn = [
        (counts @ sums) / (counts @ sizes) for counts in resample(len(sizes), RESAMPLES, seed=seed)
    ]
    return np.percentile(np.concatenate(drawn), PERCENTILES).tolist()


def measure_reliability(probs: Probs, labels: Labels, *, bins: int = BINS) -> dict[str, Any]:
    """Returns log loss, Brier score, ECE and the bins of a reliability diagram.

    The bins have equal widths; `ece` is the mean over videos of the distance between the mean
    probability of a bin and its share of fakes.

    Args:
        probs: Probability of each video.
        labels: Label of each video.
        bins: Number of bins.
    """
    found = compute_bins(probs, labels, bins)
    gap: Float[np.ndarray, "K"] = np.abs(found.means - found.shares)
    return {
        "log_loss": float(compute_log_losses(probs, labels).mean()),
        "brier": float(((probs - labels) ** 2).mean()),
        "ece": float((gap * found.counts).sum() / len(probs)),
        "bins": [
            {"n": int(n), "mean": float(mean), "share": float(share)}
            for mean, share, n in zip(*found)
        ],
    }
