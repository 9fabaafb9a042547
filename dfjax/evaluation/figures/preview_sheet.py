"""Draws the contact sheet of training inputs: rows of pictures with names and numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dfjax.evaluation.figures.style import FAKE_COLOUR, INK, QUIET, REAL_COLOUR, canvas

TILE, GAP = 1.3, 0.12  # inches
GUTTER, MARGIN = 2.35, 0.3  # for the names at the left; around everything
CAPTION, HEADING, HEADER, FOOTER = 0.24, 0.5, 0.85, 0.1  # heights
LEAST_COLUMNS = 4  # the title needs their width
SWATCHES = (("real", REAL_COLOUR), ("fake", FAKE_COLOUR))


class PreviewTile(NamedTuple):
    """A picture with a caption.

    Attributes:
        picture: RGB picture.
        caption: Text below the picture.
        target: Label that the colour of the border shows: 0 for real, 1 for fake, in between for a
            mixture; None for no border.
    """

    picture: UInt8[np.ndarray, "H W 3"]
    caption: str
    target: float | None = None


class PreviewRow(NamedTuple):
    """Pictures side by side, with a name and numbers to their left."""

    title: str
    detail: str
    tiles: Sequence[PreviewTile]


class PreviewSection(NamedTuple):
    """Rows that belong together, under a heading."""

    heading: str
    rows: Sequence[PreviewRow]


def draw_preview(
    sections: Sequence[PreviewSection],
    path: str | os.PathLike[str],
    *,
    title: str,
    subtitle: str,
) -> None:
    """Writes the sheet as a PNG, as high as its rows need.

    Args:
        sections: Sections from top to bottom.
        path: PNG file to write.
        title: First line.
        subtitle: Second line.
    """
    most = max(len(row.tiles) for section in sections for row in section.rows)
    columns = max(most, LEAST_COLUMNS)
    rows = sum(len(section.rows) for section in sections)
    width = 2 * MARGIN + GUTTER + columns * (TILE + GAP) - GAP
    height = 2 * MARGIN + HEADER + FOOTER + len(sections) * HEADING + rows * (TILE + CAPTION)
    with canvas(path, size=(width, height)) as drawn:
        drawn.set_layout_engine("none")
        page = _Page(drawn, width, height)
        page.write_header(title, subtitle)
        y = MARGIN + HEADER
        for section in sections:
            page.write_heading(section.heading, y)
            y += HEADING
            for row in section.rows:
                page.draw_row(row, y)
                y += TILE + CAPTION


class _Page:
    """Draws on a figure at positions in inches from its upper left corner."""

    def __init__(self, drawn: Figure, width: float, height: float) -> None:
        self._drawn, self._width, self._height = drawn, width, height

    def write_header(self, title: str, subtitle: str) -> None:
        self._write(title, MARGIN, MARGIN + 0.1, size=17.0, weight="bold")
        self._write(subtitle, MARGIN, MARGIN + 0.42, size=10.0, color=QUIET)
        x = self._width - MARGIN
        for name, colour in reversed(SWATCHES):
            x -= 0.62
            self._box(x, MARGIN + 0.04, 0.15, 0.15, fc=colour, lw=0)
            self._write(name, x + 0.22, MARGIN + 0.115, size=10.0)

    def write_heading(self, heading: str, y: float) -> None:
        self._write(heading, MARGIN, y + 0.17, size=12.5, weight="bold")
        line = self._width - 2 * MARGIN
        self._box(MARGIN, y + 0.34, line, 0.008, fc="#DDDDDD", lw=0)

    def draw_row(self, row: PreviewRow, y: float) -> None:
        middle = y + TILE / 2
        self._write(row.title, MARGIN, middle - 0.11, size=11.0)
        for number, line in enumerate(_wrap(row.detail)):
            self._write(line, MARGIN, middle + 0.1 + 0.17 * number, size=8.5, color=QUIET)
        for column, tile in enumerate(row.tiles):
            self._draw_tile(tile, MARGIN + GUTTER + column * (TILE + GAP), y)

    def _draw_tile(self, tile: PreviewTile, x: float, y: float) -> None:
        axes = self._axes(x, y, TILE, TILE)
        axes.imshow(tile.picture, interpolation="lanczos", aspect="auto")
        height, width = tile.picture.shape[:2]
        if tile.target is not None:
            edge = Rectangle((-0.5, -0.5), width, height, fill=False, ec=_blend(tile.target), lw=5)
            axes.add_patch(edge)
        self._write(tile.caption, x + TILE / 2, y + TILE + 0.1, size=8.0, ha="center")

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        bottom = 1 - (y + height) / self._height
        axes = self._drawn.add_axes(
            (x / self._width, bottom, width / self._width, height / self._height)
        )
        axes.axis("off")
        return axes

    def _box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        axes = self._axes(x, y, width, height)
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, **style))

    def _write(
        self, text: str, x: float, y: float, *, size: float, ha: str = "left",
        weight: str = "normal", color: str = INK,
    ) -> None:  # fmt: skip
        place = x / self._width, 1 - y / self._height
        self._drawn.text(
            *place, text, fontsize=size, ha=ha, va="center", fontweight=weight, color=color
        )


def _wrap(text: str, width: int = 34) -> list[str]:
    """Returns `text` as lines that are broken after commas."""
    lines = [""]
    for phrase in filter(None, text.split(", ")):
        joined = f"{lines[-1]}, {phrase}" if lines[-1] else phrase
        if len(joined) > width and lines[-1]:
            lines.append(phrase)
        else:
            lines[-1] = joined
    return lines


def _blend(target: float) -> tuple[float, float, float]:
    real, fake = np.array(to_rgb(REAL_COLOUR)), np.array(to_rgb(FAKE_COLOUR))
    r, g, b = (1 - target) * real + target * fake
    return float(r), float(g), float(b)
