"""Figure of robustness: the AUC by the level of each corruption."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from dfjax.evaluation.figures.style import FAKE_COLOUR, QUIET, REAL_COLOUR, canvas

COLUMNS = 4


def plot_robustness(
    curves: Mapping[str, Mapping[str, Any]], path: str | os.PathLike[str], *, title: str = ""
) -> None:
    """Draws the AUC with its interval at each level, one diagram per corruption.

    Args:
        curves: Curves by corruption (`measure_curve`), with `severity` and `values`.
        path: PNG file to write.
        title: Title of the picture.
    """
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    with canvas(path, size=(max(7.0, 3.5 * columns), 3.3 * rows)) as drawn:
        axes = drawn.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for one, (name, curve) in zip(axes, curves.items()):
            levels = np.arange(len(curve["video_auc"]))
            aucs = np.array(curve["video_auc"], np.float64)
            bands = [pair or (np.nan, np.nan) for pair in curve["video_auc_ci"]]
            low, high = np.array(bands, np.float64).T
            one.axhline(0.5, color=QUIET, lw=1, ls=(0, (4, 4)))
            one.axhline(aucs[0], color=REAL_COLOUR, lw=1, label="without")
            one.fill_between(levels, low, high, color=FAKE_COLOUR, alpha=0.15, lw=0)
            one.plot(levels, aucs, color=FAKE_COLOUR, marker="o", ms=4)
            area = "–" if curve["area"] is None else f"{curve['area']:.3f}"
            one.set(title=f"{name} (area {area})", xlabel=curve["severity"], ylim=(0.3, 1.02))
            one.set_xticks(levels, ["none", *(f"{value:g}" for value in curve["values"])])
        for one in axes[len(curves) :]:
            one.set_axis_off()
        drawn.supylabel("AUC of videos", fontsize=11)
        if title:
            drawn.suptitle(title, x=0.01, ha="left", color=QUIET, fontsize=11)
