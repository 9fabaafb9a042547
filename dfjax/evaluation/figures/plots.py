"""Figures of metrics: the ROC curve beside the scores, and the curves of a training run."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfjax.errors import InputError
from dfjax.evaluation.figures.style import FAKE_COLOUR, INK, OTHERS, QUIET, REAL_COLOUR, figure
from dfjax.evaluation.metrics import Metrics, roc
from dfjax.text_tables import check_numbers


def plot_roc(
    videos: pd.DataFrame,
    metrics: Metrics,
    path: str | os.PathLike[str] | None = None,
    *,
    unseen: Mapping[str, pd.DataFrame] | None = None,
    title: str = "",
    unit: str = "video",
) -> Figure:
    """Returns a figure of the ROC curve and a histogram of the scores of videos side by side.

    Args:
        videos: One row per video (or `unit`), those that `metrics` were computed from.
        metrics: Metrics that give the AUC, its interval and the EER.
        path: PNG file to write; None for no file.
        unseen: Videos of manipulations held back from training, by method; each has a thin curve.
        title: Title of the picture, for example `dual_stream · test · synthetic data`.
        unit: What a row is: `video`, `clip` or `frame`.
    """
    with figure(path, 2, size=(10.0, 4.6)) as (drawn, axes):
        _draw_roc(axes[0], videos, metrics, unseen or {}, unit)
        _draw_scores(axes[1], videos, unit)
        if title:
            drawn.suptitle(title, x=0.01, ha="left", color=QUIET, fontsize=11)
    return drawn


def _draw_roc(
    axes: Axes,
    videos: pd.DataFrame,
    metrics: Metrics,
    unseen: Mapping[str, pd.DataFrame],
    unit: str,
) -> None:
    curve = roc(videos)
    if curve is None:
        axes.text(0.5, 0.5, "one class only: no ROC curve", ha="center", color=INK)
    else:
        axes.plot([0, 1], [0, 1], color=QUIET, lw=1, ls=(0, (4, 4)))
        axes.fill_between(*curve, color=FAKE_COLOUR, alpha=0.08, lw=0)
        axes.plot(*curve, color=FAKE_COLOUR, label=_auc_label(metrics, unit))
    eer = metrics.get("eer")
    if isinstance(eer, float):
        axes.plot([eer], [1 - eer], "o", color=INK, ms=6, zorder=3, label=f"EER {eer:.3f}")
    for colour, (method, rows) in zip(OTHERS, unseen.items()):
        of_method = roc(rows)
        if of_method is not None:
            area = float(np.trapezoid(of_method[1], of_method[0]))
            axes.plot(*of_method, color=colour, lw=1.4, label=f"unseen: {method} {area:.3f}")
    axes.set(xlabel="false-positive rate", ylabel="true-positive rate", title=f"ROC, {unit}s")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=10)


def _auc_label(metrics: Metrics, unit: str) -> str:
    label = f"AUC {metrics[f'{unit}_auc']:.3f}"
    interval = metrics.get(f"{unit}_auc_ci")
    if isinstance(interval, list):
        label += f"  [{interval[0]:.3f}, {interval[1]:.3f}]"
    return label


def _draw_scores(axes: Axes, videos: pd.DataFrame, unit: str) -> None:
    bins = [i / 25 for i in range(26)]
    for label, name, colour in ((0, "real", REAL_COLOUR), (1, "fake", FAKE_COLOUR)):
        scores = videos.loc[videos["label"] == label, "fake_prob"]
        if len(scores):
            text = f"{name} ({len(scores)})"
            axes.hist(scores, bins, color=colour, alpha=0.30, lw=0)
            axes.hist(scores, bins, color=colour, histtype="step", lw=1.6, label=text)
    axes.axvline(0.5, color=QUIET, lw=1, ls=(0, (4, 4)))
    axes.set(xlabel=f"P(fake) of a {unit}", ylabel=f"{unit}s", title="Scores", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    # The legend is above the axes, where it hides no bars.
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2, fontsize=10)


def read_history(history: str | os.PathLike[str]) -> pd.DataFrame:
    """Returns the table `history.csv` of a run, one row per epoch.

    Raises:
        InputError: The file is damaged.
    """
    check_numbers(history, ["epoch"], remedy="remove it: no run depends on this log")
    return pd.read_csv(history)


def plot_curves(
    history: str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    metrics: tuple[str, ...] = ("video_auc", "accuracy", "ssim"),
) -> Figure:
    """Returns a figure of losses, accuracy and validation metrics by epoch; marks the best epoch.

    Args:
        history: File `history.csv` of a workdir.
        path: PNG file to write; None for no file.
        metrics: Names of the validation metrics that are drawn beside the losses.

    Raises:
        InputError: The file has no rows yet, or is damaged.
    """
    table = read_history(history)
    if not len(table):
        raise InputError(f"{history} has no epoch yet")
    best = _best_epoch(table)
    with figure(path, 2, size=(10.0, 4.0)) as (drawn, axes):
        for name, colour in (("train_loss", QUIET), ("val_loss", FAKE_COLOUR)):
            _draw_curve(axes[0], table, name, name.split("_")[0], colour)
        _draw_curve(axes[1], table, "train_accuracy", "accuracy (training)", QUIET)
        for name, colour in zip(metrics, (REAL_COLOUR, *OTHERS)):
            _draw_curve(
                axes[1], table, f"val_{name}", name.replace("_", " ").replace("auc", "AUC"), colour
            )
        axes[0].set(title="Loss", xlabel="epoch")
        axes[0].set_ylim(bottom=0)
        axes[1].set(title="Validation metrics", xlabel="epoch", ylim=(0, 1.02))
        for one in axes:
            one.xaxis.set_major_locator(MaxNLocator(integer=True))
            if best is not None:
                one.axvline(best, color=INK, lw=1, ls=(0, (2, 3)), label=f"best epoch, {best:g}")
            if one.get_legend_handles_labels()[0]:
                one.legend(fontsize=10)
    return drawn


def _draw_curve(axes: Axes, table: pd.DataFrame, name: str, label: str, colour: str) -> None:
    if name not in table or table[name].isna().all():
        return
    marker = "o" if len(table) < 40 else None
    axes.plot(table["epoch"], table[name], color=colour, label=label, marker=marker, ms=3.5)


def _best_epoch(table: pd.DataFrame) -> float | None:
    """Returns the last epoch that was the best so far, whose checkpoint was kept, or None."""
    if "best" not in table:
        return None
    best = table[table["best"].astype(str).str.lower().isin(("true", "1", "1.0"))]
    return float(best["epoch"].iloc[-1]) if len(best) else None
