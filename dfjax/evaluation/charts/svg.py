"""`Plot`, a chart with two axes as SVG.

Colours are variables of the page with a value for light pages, so that a chart follows a dark theme
and is also complete in a notebook. Text has the colour of the page.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dfjax.evaluation.charts.markup import Html, tag, to_html

Number = float | int | np.integer
Range = tuple[Number, Number]

COLOURS = {
    "real": "var(--real,#0072b2)",
    "fake": "var(--fake,#d55e00)",
    "quiet": "var(--quiet,#6b7280)",
    "ink": "var(--ink,currentColor)",
    "grid": "var(--grid,rgba(128,128,128,.25))",
}
"""Colours by what they mean. The palette, of Okabe and Ito, is for all kinds of colour vision."""


class Stroke(NamedTuple):
    """The look of a line.

    Attributes:
        colour: CSS colour.
        dash: Dash pattern, empty for none.
        width: Width in pixels.
    """

    colour: str
    dash: str = ""
    width: float = 2.2


SERIES = tuple(
    Stroke(f"var(--c{number},{colour})", dash)
    for number, (colour, dash) in enumerate(
        (
            *(("#0072b2", ""), ("#d55e00", "7 3"), ("#007a5a", "2 3")),
            *(("#b4508a", "9 3 2 3"), ("#8a6d00", "4 2"), ("#3d4a5c", "1 4")),
        ),
        1,
    )
)
"""Looks of several lines: they also differ where colours cannot be told apart."""

REFERENCE = Stroke(COLOURS["quiet"], "4 4", 1.0)
"""Look of a line that others are compared with."""

SAMPLE = "display:inline-block;width:20px;margin:0 6px 4px 0"
LEGEND = "display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;margin-top:6px;color:{quiet}"

LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 10.0, 40.0


class Plot:
    """A chart with two axes, to which marks are added one after the other.

    Args:
        title: Text that screen readers read.
        x: Range of the horizontal axis.
        y: Range of the vertical axis.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        size: Width and height in pixels of a chart that is shown at its own size.
        x_ticks: Positions of ticks, or names by position; None for round numbers.
        y_ticks: The same of the vertical axis.
        left: Width of the space for the labels of the vertical axis.
    """

    def __init__(
        self,
        title: str,
        *,
        x: Range = (0.0, 1.0),
        y: Range = (0.0, 1.0),
        x_label: str = "",
        y_label: str = "",
        size: tuple[int, int] = (340, 276),
        x_ticks: Sequence[Number] | dict[Number, str] | None = None,
        y_ticks: Sequence[Number] | dict[Number, str] | None = None,
        left: Number = LEFT,
    ) -> None:
        self.title, self.size, self.left = title, size, left
        self.x, self.y = _widen(x), _widen(y)
        self.width, self.height = size[0] - left - RIGHT, size[1] - TOP - BOTTOM
        self._marks: list[Html] = []
        self._legend: list[Html] = []
        self._axes = [
            *self._draw_ticks(x_ticks, self.x, vertical=False),
            *self._draw_ticks(y_ticks, self.y, vertical=True),
            self._draw_label(x_label, self.left + self.width / 2, self.size[1] - 6),
            self._draw_label(y_label, 11, TOP + self.height / 2, turned=True),
        ]

    def place(self, x: Number, y: Number) -> tuple[float, float]:
        """Returns the pixels of a point."""
        right = (x - self.x[0]) / (self.x[1] - self.x[0]) * self.width
        up = (y - self.y[0]) / (self.y[1] - self.y[0]) * self.height
        return self.left + right, TOP + self.height - up

    def add_line(
        self,
        x: Iterable[Any],
        y: Iterable[Any],
        stroke: Stroke,
        *,
        label: Any = None,
        fill: bool = False,
        dots: bool = False,
    ) -> None:
        """Adds a line through points; those that are not finite are left out.

        Args:
            x: Horizontal positions.
            y: Vertical positions.
            stroke: Look of the line.
            label: Entry of the legend; None for none.
            fill: Whether the area below the line is shaded.
            dots: Whether the points are marked.
        """
        points = [self.place(a, b) for a, b in zip(x, y) if math.isfinite(a) and math.isfinite(b)]
        pixels = list(dict.fromkeys((round(a, 1), round(b, 1)) for a, b in points))
        path = Html(" ".join(f"{a:g},{b:g}" for a, b in pixels))  # not cut like a long text
        colour, dash, width = stroke
        style = f"fill:none;stroke:{colour};stroke-width:{width};stroke-linejoin:round"
        if fill and pixels:
            bottom = TOP + self.height
            ends = f"{pixels[0][0]:g},{bottom:g}", f"{pixels[-1][0]:g},{bottom:g}"
            area = Html(f"{ends[0]} {path} {ends[1]}")
            shade = f"fill:{colour};opacity:.1;stroke:none"
            self._marks.append(tag("polygon", points=area, style=shade))
        dashes = dash or None
        self._marks.append(tag("polyline", points=path, style=style, stroke_dasharray=dashes))
        for a, b in pixels if dots else ():
            self._marks.append(tag("circle", cx=f"{a:g}", cy=f"{b:g}", r="3", fill=colour))
        if label is not None:
            self.add_entry(label, colour, dashed=bool(dash))

    def add_bars(
        self,
        edges: Iterable[Any],
        heights: Iterable[Any],
        colour: str,
        *,
        label: Any = None,
        unit: str = "",
    ) -> None:
        """Adds the bars of a histogram; a bar shows its number when the pointer is on it.

        Args:
            edges: Edges of the bars, one more than bars.
            heights: Heights of the bars.
            colour: CSS colour.
            label: Entry of the legend; None for none.
            unit: What the heights count.
        """
        style = f"fill:{colour};fill-opacity:.45;stroke:{colour};stroke-width:1"
        for (low, high), height in zip(itertools.pairwise(edges), heights):
            if not height:
                continue
            (left, top), (right, bottom) = self.place(low, height), self.place(high, self.y[0])
            tip = tag("title", f"{low:.2f}–{high:.2f}: {height:g} {unit}")
            box = {"x": f"{left:.1f}", "y": f"{top:.1f}", "width": f"{right - left:.1f}"}
            self._marks.append(tag("rect", tip, **box, height=f"{bottom - top:.1f}", style=style))
        if label is not None:
            self.add_entry(label, colour)

    def add_dot(
        self, x: Number, y: Number, colour: str, *, label: Any = None, radius: Number = 4.5
    ) -> None:
        """Adds a point, with its text for the pointer and an entry of the legend."""
        a, b = self.place(x, y)
        tip = tag("title", label) if label else ""
        dot = {"cx": f"{a:.1f}", "cy": f"{b:.1f}", "r": f"{radius:g}"}
        edge = "var(--paper,#fff)"
        self._marks.append(tag("circle", tip, **dot, fill=colour, stroke=edge, stroke_width="1.5"))

    def add_entry(self, label: Any, colour: str, *, dashed: bool = False) -> None:
        """Adds an entry of the legend."""
        kind = "dashed" if dashed else "solid"
        sample = tag("span", style=f"{SAMPLE};border-top:3px {kind} {colour}")
        self._legend.append(tag("span", sample, label))

    def add_text(self, x: Number, y: Number, text: Any, *, anchor: str = "start") -> None:
        """Adds a text at a point."""
        a, b = self.place(x, y)
        place = {"x": f"{a:.1f}", "y": f"{b:.1f}", "text_anchor": anchor}
        self._marks.append(tag("text", text, **place, style=f"font-size:12px;fill:{INK}"))

    def render(self) -> Html:
        """Returns the chart with its legend."""
        width, height = self.size
        drawing = tag(
            "svg",
            *self._axes,
            *self._marks,
            viewBox=f"0 0 {width} {height}",
            role="img",
            aria_label=self.title,
            style=f"max-width:{round(1.4 * width)}px",
        )
        legend = (
            tag("div", *self._legend, style=LEGEND.format_map(COLOURS)) if self._legend else Html()
        )
        return to_html(drawing, legend)

    def _draw_ticks(self, ticks: Any, limits: Range, *, vertical: bool) -> Iterable[Html]:
        chosen = choose_ticks(*limits) if ticks is None else ticks
        names = chosen if isinstance(chosen, dict) else {at: f"{at:.6g}" for at in chosen}
        style = f"font-size:12px;fill:{COLOURS['quiet']}"
        for at, name in names.items():
            a, b = self.place(self.x[0], at) if vertical else self.place(at, self.y[0])
            end = (self.left + self.width, b) if vertical else (a, TOP)
            ends = {
                "x1": f"{a:.1f}",
                "y1": f"{b:.1f}",
                "x2": f"{end[0]:.1f}",
                "y2": f"{end[1]:.1f}",
            }
            yield tag("line", **ends, stroke=COLOURS["grid"])
            place = {"x": a - 6, "y": b + 4} if vertical else {"x": a, "y": b + 15}
            where = {key: f"{value:.1f}" for key, value in place.items()}
            anchor = "end" if vertical else "middle"
            yield tag("text", name, **where, text_anchor=anchor, style=style)

    def _draw_label(self, text: str, x: Number, y: Number, *, turned: bool = False) -> Html:
        turn = f"translate({x:.1f} {y:.1f})" + (" rotate(-90)" if turned else "")
        style = f"font-size:13px;fill:{INK}"
        return tag("text", text, transform=turn, text_anchor="middle", style=style)


INK = COLOURS["ink"]


def choose_ticks(low: Number, high: Number, most: int = 5) -> list[float]:
    """Returns up to `most` + 1 round numbers in a range."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(f for f in (1, 2, 2.5, 5, 10) if (high - low) / (f * step) <= most + 1e-9)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(float(number * step), 10) for number in np.arange(first, last + 1)]


def _widen(limits: Range) -> Range:
    low, high = limits
    return (low, high) if high > low else (low - 0.5, low + 0.5)
