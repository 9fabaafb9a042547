"""The style of all figures, and the functions that create, write and encode them."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from dfjax.console import in_notebook
from dfjax.files import atomic_path
from dfjax.outputs import SOFTWARE

REAL_COLOUR, FAKE_COLOUR = "#0072B2", "#D55E00"  # Okabe and Ito, for all kinds of colour vision
INK, QUIET = "#222222", "#8A8A8A"
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933", "#882255")
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "text.parse_math": False,  # a file may be called $5.mp4
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}
FONT = "DejaVu Sans"  # comes with matplotlib
FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei"),
    *(
        "PingFang SC",
        "Hiragino Sans",
        "Yu Gothic",
        "Malgun Gothic",
        "Noto Sans",
        "Arial Unicode MS",
    ),
)
"""Fonts for characters that `FONT` lacks, where they are installed."""
MISSING = "□"  # stands for a character that no font has


@contextmanager
def canvas(
    path: str | os.PathLike[str] | None, *, size: tuple[float, float], margins: float = 0.06
) -> Iterator[Figure]:
    """Yields an empty figure and, on exit, writes it to a PNG file atomically.

    Neither a window system nor the global state of matplotlib is used. Characters that no
    installed font has are replaced by `MISSING`.

    Args:
        path: PNG file to write; None for no file.
        size: Width and height in inches of 150 pixels.
        margins: Margin around every part in inches.
    """
    with matplotlib.rc_context({**STYLE, "font.family": find_fonts()}):
        layout = ConstrainedLayoutEngine(w_pad=margins, h_pad=margins)
        drawn = Figure(figsize=size, dpi=150, layout=layout)
        yield drawn
        _replace_missing(drawn)
        if path is None:
            return
        with atomic_path(path) as partial:
            drawn.savefig(partial, format="png", facecolor="white", metadata=SOFTWARE)


@functools.cache
def find_fonts() -> list[str]:
    """Returns `FONT` and the installed ones of `FALLBACKS`."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [FONT, *(name for name in FALLBACKS if name in installed)]


@functools.cache
def _list_characters() -> frozenset[int]:
    """Returns the code points of all characters that the fonts have."""
    fonts = [font_manager.get_font(font_manager.findfont(name)) for name in find_fonts()]
    return frozenset().union(*(font.get_charmap() for font in fonts))


def make_drawable(text: str) -> str:
    """Returns a text with `MISSING` for each character that no font has."""
    if text.isascii():
        return text
    known = _list_characters()
    return "".join(c if ord(c) in known or c.isspace() else MISSING for c in text)


def _replace_missing(drawn: Figure) -> None:
    for axis in (axis for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        drawable = list(map(make_drawable, labels))
        if drawable != labels:  # the texts of ticks are made anew when they are drawn
            axis.set_ticks(axis.get_ticklocs(), labels=drawable)
    for text in drawn.findobj(Text):
        text.set_text(make_drawable(text.get_text()))


def enable_notebook_display() -> None:
    """Makes a notebook display the figures that a call returns; has no effect elsewhere."""
    if not in_notebook():
        return
    ipython = importlib.import_module("IPython")
    shell = ipython.get_ipython()
    if shell and not any(Figure in form for form in shell.display_formatter.formatters.values()):
        tools = importlib.import_module("IPython.core.pylabtools")
        tools.select_figure_formats(shell, {"png"})  # as `%matplotlib inline` does


@contextmanager
def figure(
    path: str | os.PathLike[str] | None, columns: int, *, size: tuple[float, float]
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yields a figure with one row of `columns` axes, and the axes; written as by `canvas`."""
    with canvas(path, size=size) as drawn:
        yield drawn, list(drawn.subplots(1, columns, squeeze=False)[0])
