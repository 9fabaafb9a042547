"""The style of all figures, and the functions that create, write and encode them."""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

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


@contextmanager
def canvas(
    path: str | os.PathLike[str] | None, *, size: tuple[float, float], margins: float = 0.06
) -> Iterator[Figure]:
    """Yields an empty figure and, on exit, writes it to a PNG file atomically.

    Neither a window system nor the global state of matplotlib is used.

    Args:
        path: PNG file to write; None for no file.
        size: Width and height in inches of 150 pixels.
        margins: Margin around every part in inches.
    """
    with matplotlib.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=margins, h_pad=margins)
        drawn = Figure(figsize=size, dpi=150, layout=layout)
        yield drawn
        if path is None:
            return
        with atomic_path(path) as partial:
            drawn.savefig(partial, format="png", facecolor="white", metadata=SOFTWARE)


def enable_notebook_display() -> None:
    """Makes a notebook display the figures that a call returns; has no effect elsewhere."""
    if "ipykernel" in sys.modules:
        import matplotlib.pyplot  # noqa: F401  # registers the display of figures


def encode_figure(figure: Figure) -> str:
    """Returns a figure as a PNG in a `data:` URL, for HTML."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@contextmanager
def figure(
    path: str | os.PathLike[str] | None, columns: int, *, size: tuple[float, float]
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yields a figure with one row of `columns` axes, and the axes; written as by `canvas`."""
    with canvas(path, size=size) as drawn:
        yield drawn, list(drawn.subplots(1, columns, squeeze=False)[0])
