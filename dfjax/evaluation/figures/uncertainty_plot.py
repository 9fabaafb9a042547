"""Figure of uncertainty: risk-coverage curves, and histograms for right and wrong verdicts."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from dfjax.evaluation.figures.style import FAKE_COLOUR, INK, OTHERS, QUIET, REAL_COLOUR, figure
from dfjax.evaluation.metrics.uncertainty import (
    DOUBT,
    aggregate_uncertainty,
    find_errors,
    risk_coverage,
)

SHOWN = {
    "mutual_information": ("mutual information", OTHERS[0]),
    "fake_prob_sd": ("standard deviation", OTHERS[1]),
    DOUBT: ("min(p, 1 - p)", REAL_COLOUR),
}


def plot_uncertainty(
    predictions: pd.DataFrame, path: str | os.PathLike[str], *, title: str = ""
) -> None:
    """Draws risk-coverage curves, and histograms of the spread of right and wrong verdicts.

    Args:
        predictions: Table with the columns `uncertainty.MEASURES`.
        path: PNG file to write.
        title: Title of the picture.
    """
    videos = aggregate_uncertainty(predictions)
    wrong = find_errors(videos)
    with figure(path, 2, size=(10.0, 4.6)) as (drawn, axes):
        _draw_risk(axes[0], videos, wrong)
        _draw_spread(axes[1], videos["fake_prob_sd"].to_numpy(), wrong)
        if title:
            drawn.suptitle(title, x=0.01, ha="left", color=QUIET, fontsize=11)


def _draw_risk(axes: Axes, videos: pd.DataFrame, wrong: np.ndarray) -> None:
    best = risk_coverage(wrong.astype(np.float64), wrong)
    axes.plot(*best, color=QUIET, lw=1, ls=(0, (4, 4)), label=f"errors known  {best[1].mean():.3f}")
    axes.axhline(wrong.mean(), color=QUIET, lw=1, label=f"no order  {wrong.mean():.3f}")
    for name, (label, colour) in SHOWN.items():
        coverage, risk = risk_coverage(videos[name].to_numpy(np.float64), wrong)
        axes.plot(coverage, risk, color=colour, label=f"{label}  {risk.mean():.3f}")
    axes.set(xlabel="share of videos, the least uncertain first", ylabel="error rate")
    top = max(axes.dataLim.y1, 0.01)
    # The limit leaves room for the legend above the curves.
    axes.set(title="Risk and coverage (area)", xlim=(0, 1.01), ylim=(-0.03 * top, 1.6 * top))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper left", fontsize=10)


def _draw_spread(axes: Axes, spread: np.ndarray, wrong: np.ndarray) -> None:
    bins = np.linspace(0, max(float(spread.max()), 1e-3), 16).tolist()
    for chosen, name, colour in ((~wrong, "right", INK), (wrong, "wrong", FAKE_COLOUR)):
        n = int(chosen.sum())
        if n:  # as shares, since there are usually few wrong verdicts
            weights = np.full(n, 1.0 / n)
            axes.hist(spread[chosen], bins, weights=weights, color=colour, alpha=0.2, lw=0)
            axes.hist(
                spread[chosen], bins, weights=weights, color=colour, histtype="step", lw=1.6,
                label=f"{name} ({n})",
            )  # fmt: skip
    axes.set(xlabel="standard deviation of P(fake) of a video", ylabel="share of verdicts")
    axes.set(title="Verdicts", xlim=(0, bins[-1]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2, fontsize=10)
