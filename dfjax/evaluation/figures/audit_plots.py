"""Figures of an audit: class balance, lengths, properties, shortcut probe, near duplicates.

Every function draws to a PNG file and returns whether there was anything to draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dfjax import FAKE, REAL
from dfjax.data.index.audit import Audit
from dfjax.data.index.audit.duplicates import Match
from dfjax.data.index.audit.properties import CATEGORIES, PROPERTIES
from dfjax.data.index.audit.shortcut import FAIL, WARN
from dfjax.data.index.records import SPLITS
from dfjax.evaluation.figures.style import FAKE_COLOUR, INK, QUIET, REAL_COLOUR, canvas, figure

Path = str | os.PathLike[str]
CLASSES = ((REAL, "real", REAL_COLOUR), (FAKE, "fake", FAKE_COLOUR))
SHOWN_MATCHES = 8
COLUMNS = 4  # of small plots


def plot_balance(audit: Audit, path: Path) -> bool:
    """Draws the numbers of videos by class and split, and by method."""
    index = audit.evidence.index
    methods = index["method"].value_counts().sort_index()
    methods = methods.sort_values(kind="stable").tail(24)
    size = (9.0, max(2.4, 0.9 + 0.26 * len(methods)))
    with figure(path, 2, size=size) as (_, (left, right)):
        splits = [split for split in SPLITS if (index["split"] == split).any()]
        for offset, (label, name, colour) in zip((-0.2, 0.2), CLASSES):
            counts = [((index["split"] == s) & (index["label"] == label)).sum() for s in splits]
            bars = left.bar(np.arange(len(splits)) + offset, counts, 0.38, color=colour, label=name)
            left.bar_label(bars, fontsize=8, color=INK, padding=1)
        left.set_xticks(range(len(splits)), splits)
        left.set(title="Videos by split")
        left.grid(False, axis="x")
        left.margins(y=0.15)
        left.legend(fontsize=9)
        reals = set(index["method"][index["label"] == REAL])
        colours = [REAL_COLOUR if name in reals else FAKE_COLOUR for name in methods.index]
        bars = right.barh(range(len(methods)), methods.to_numpy(), 0.7, color=colours)
        right.bar_label(bars, fontsize=8, color=INK, padding=2)
        right.set_yticks(range(len(methods)), [str(name) for name in methods.index], fontsize=9)
        right.set(title="Videos by method")
        right.grid(False, axis="y")
        right.margins(x=0.15)
    return True


def plot_lengths(audit: Audit, path: Path) -> bool:
    """Draws the distribution of the number of frames for each class."""
    lengths = audit.evidence.properties["length"]
    if lengths.notna().sum() < 2:
        return False
    low, high = lengths.min(), lengths.max()
    bins = np.linspace(low - 0.5, high + 0.5, 41) if high - low > 40 else np.arange(low, high + 2)
    bins = bins - (0.5 if high - low <= 40 else 0.0)
    with figure(path, 1, size=(9.0, 2.6)) as (_, (axes,)):
        for label, name, colour in CLASSES:
            values = lengths[audit.evidence.index["label"] == label].dropna()
            if not len(values):
                continue
            axes.hist(
                values, bins.tolist(), color=colour, alpha=0.55, label=f"{name} (n {len(values)})"
            )
            axes.axvline(values.mean(), color=colour, lw=1.5, ls=(0, (4, 2)))
        axes.set(title="Frames per video, dashed: mean", xlabel="frames", ylabel="videos")
        axes.legend(fontsize=9)
    return True


def plot_properties(audit: Audit, path: Path) -> bool:
    """Draws a box plot by split and class of every numerical property that varies."""
    table = audit.evidence.properties
    names = [n for n in PROPERTIES if n not in CATEGORIES and table[n].nunique() > 1]
    if not names:
        return False
    rows = -(-len(names) // COLUMNS)
    with canvas(path, size=(10.5, 2.1 * rows)) as drawn:
        grid = drawn.subplots(rows, COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, name in zip(grid.flat, names):
            axes.axis("on")
            _draw_boxes(axes, table[name], audit.evidence.index)
            unit = f" [{PROPERTIES[name].unit}]" if PROPERTIES[name].unit else ""
            axes.set_title(f"{PROPERTIES[name].title}{unit}", fontsize=9)
    return True


def _draw_boxes(axes: Axes, values: pd.Series, index: pd.DataFrame) -> None:
    splits = [split for split in SPLITS if (index["split"] == split).any()]
    for place, split in enumerate(splits):
        for offset, (label, _, colour) in zip((-0.2, 0.2), CLASSES):
            chosen = values[(index["split"] == split) & (index["label"] == label)].dropna()
            if not len(chosen):
                continue
            axes.boxplot(
                chosen.to_numpy(), positions=[place + offset], widths=0.34, patch_artist=True,
                whis=(5, 95), showfliers=False, manage_ticks=False,
                boxprops={"facecolor": colour, "alpha": 0.5, "edgecolor": colour},
                medianprops={"color": INK, "lw": 1.2},
                whiskerprops={"color": colour, "lw": 1.2},
                capprops={"color": colour, "lw": 1.2},
            )  # fmt: skip
    axes.set_xticks(range(len(splits)), splits, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(False, axis="x")
    axes.set_xlim(-0.6, len(splits) - 0.4)


def plot_shortcut(audit: Audit, path: Path) -> bool:
    """Draws the AUC of the shortcut probe with its limits, and the importance of each property."""
    probe = audit.probe
    if probe.auc is None:
        return False
    names = list(probe.importance)[:8][::-1]
    with figure(path, 2, size=(9.0, max(2.2, 0.9 + 0.26 * len(names)))) as (_, (left, right)):
        bad = probe.auc > WARN
        left.barh([0], [probe.auc], 0.5, color=FAKE_COLOUR if bad else REAL_COLOUR)
        left.errorbar([probe.auc], [0], xerr=[2 * probe.error], color=INK, capsize=4, lw=1.2)
        for limit, text in ((0.5, "chance"), (WARN, "warning"), (FAIL, "error")):
            left.axvline(limit, color=QUIET, lw=1, ls=(0, (4, 3)))
            left.text(limit, 0.62, text, rotation=90, ha="right", va="top", fontsize=8, color=QUIET)
        left.set(xlim=(0.3, 1.0), ylim=(-0.7, 0.7), yticks=[], xlabel="AUC")
        left.set_title(f"Properties of files only: AUC {probe.auc:.3f}", fontsize=11)
        drops = [max(0.0, probe.importance[name]) for name in names]
        right.barh(range(len(names)), drops, 0.65, color=FAKE_COLOUR if bad else QUIET)
        right.set_yticks(range(len(names)), [PROPERTIES[n].title for n in names], fontsize=9)
        right.set(xlim=(0, max(0.05, 1.1 * max(drops, default=0.0))), xlabel="AUC lost")
        right.set_title("Loss of AUC when a property is permuted", fontsize=11)
        right.grid(False, axis="y")
    return True


def plot_matches(audit: Audit, path: Path) -> bool:
    """Draws near duplicates in different splits side by side."""
    matches = audit.matches[:SHOWN_MATCHES]
    if not matches:
        return False
    rows = -(-len(matches) // COLUMNS)
    with canvas(path, size=(10.5, 1.9 * rows)) as drawn:
        grid = drawn.subplots(rows, COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, match in zip(grid.flat, matches):
            _draw_match(axes, audit, match)
    return True


def _draw_match(axes: Axes, audit: Audit, match: Match) -> None:
    faces, index = audit.evidence.faces, audit.evidence.index
    assert faces is not None
    place = {int(row): i for i, row in enumerate(faces.row)}
    shown = ((match.row, match.shot), (match.other_row, match.other_shot))
    pictures = [faces.patches[place[row], shot] for row, shot in shown]
    axes.imshow(np.concatenate(pictures, 1), cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    names = [f"{index['video_id'].iloc[r]} ({index['split'].iloc[r]})" for r, _ in shown]
    axes.set_title("\n".join(name[-34:] for name in names), fontsize=7, fontweight="normal")


FIGURES: dict[str, tuple[str, Callable[[Audit, Path], bool]]] = {
    "balance": ("Balance", plot_balance),
    "length": ("Frames per video", plot_lengths),
    "shortcut_probe": ("Shortcut probe", plot_shortcut),
    "near_duplicates": ("Near duplicates in two splits", plot_matches),
    "properties": ("Properties by split and class", plot_properties),
}
"""Title and function of each figure, by the name that findings refer to."""
