"""Figure of a calibration: reliability before and after, and the shares of verdicts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from dfjax.evaluation.calibration.conformal import FAKE_VERDICT, REAL_VERDICT, UNDECIDED
from dfjax.evaluation.figures.style import FAKE_COLOUR, OTHERS, QUIET, REAL_COLOUR, figure

LIMITS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
"""Error rates at which the shares of verdicts are drawn."""


def plot_reliability(
    reliability: Mapping[str, Any],
    verdicts: Mapping[str, Mapping[float, Mapping[str, float]]],
    path: str | os.PathLike[str],
    *,
    title: str = "",
) -> None:
    """Draws the reliability diagram, and the shares of verdicts by the guaranteed error rate.

    Args:
        reliability: `before` and `after`, as `measure_reliability` returns them.
        verdicts: Share of each verdict by class (`real`, `fake`) and error rate.
        path: PNG file to write.
        title: Title of the picture.
    """
    with figure(path, 3, size=(14.0, 4.6)) as (drawn, axes):
        _draw_bins(axes[0], reliability)
        for one, (kind, wrong) in zip(axes[1:], (("real", FAKE_VERDICT), ("fake", REAL_VERDICT))):
            _draw_shares(one, verdicts[kind], kind, wrong)
        if title:
            drawn.suptitle(title, x=0.01, ha="left", color=QUIET, fontsize=11)


def _draw_bins(axes: Axes, reliability: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color=QUIET, lw=1, ls=(0, (4, 4)))
    for name, colour in (("before", OTHERS[2]), ("after", OTHERS[0])):
        bins = reliability[name]["bins"]
        most = max(one["n"] for one in bins)
        x, y = [one["mean"] for one in bins], [one["share"] for one in bins]
        axes.plot(x, y, color=colour, lw=1.4, label=f"{name}: ECE {reliability[name]['ece']:.3f}")
        axes.scatter(x, y, [12 + 60 * one["n"] / most for one in bins], color=colour, zorder=3)
    axes.set(xlabel="mean P(fake) of a bin", ylabel="share of fakes", title="Reliability")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left", fontsize=10)


def _draw_shares(
    axes: Axes, shares: Mapping[float, Mapping[str, float]], kind: str, wrong: str
) -> None:
    rates = sorted(shares)
    colours = {FAKE_VERDICT: FAKE_COLOUR, REAL_VERDICT: REAL_COLOUR, UNDECIDED: QUIET}
    axes.plot(rates, rates, color=QUIET, lw=1, ls=(0, (4, 4)), label="guaranteed limit")
    for verdict, colour in colours.items():
        label = f"{verdict} (wrong)" if verdict == wrong else verdict
        values = [shares[rate][verdict] for rate in rates]
        axes.plot(rates, values, color=colour, marker="o", ms=4, label=label)
    axes.set(xlabel="guaranteed error rate of the class", ylabel="share of verdicts")
    axes.set(title=f"{kind.capitalize()} videos, cross-validated", ylim=(-0.02, 1.3))
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper left", ncols=2, fontsize=9)
