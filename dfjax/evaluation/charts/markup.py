"""Builds HTML. A plain text is escaped wherever it is put; only an `Html` is taken as it is.

Texts come from files of others (names of videos, messages, configs), so the type of a value, and
not the care of each caller, decides whether it is markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from dfjax.console import one_line


class Html(str):
    """A piece of HTML; other texts are escaped."""


def to_html(*parts: Any) -> Html:
    """Returns parts one after the other: an `Html` as it is, everything else as escaped text."""
    return Html("".join(p if isinstance(p, Html) else escape(one_line(str(p))) for p in parts))


def tag(name: str, *parts: Any, **attributes: Any) -> Html:
    """Returns an element with its content.

    Args:
        name: Name of the element.
        parts: Content; see `to_html`.
        **attributes: Attributes by name; underscores become hyphens, except one at the end
            (`class_`), which is left out. Attributes that are None are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{to_html(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{to_html(*parts)}</{name}>")


def join(parts: Iterable[Any]) -> Html:
    """Returns parts one after the other; see `to_html`."""
    return to_html(*parts)


def make_table(head: Sequence[Any], rows: Iterable[Sequence[Any]], *, caption: Any = None) -> Html:
    """Returns a table whose first column has row headings; it scrolls where it is too wide.

    Args:
        head: Headings of the columns.
        rows: Cells of each row.
        caption: Caption above the table.
    """
    heads = join(tag("th", cell, scope="col") for cell in head)
    lines = []
    for first, *others in rows:
        cells = join(tag("td", cell) for cell in others)
        lines.append(tag("tr", tag("th", first, scope="row"), cells))
    body = tag("thead", tag("tr", heads)), tag("tbody", *lines)
    title = tag("caption", caption) if caption else ""
    return tag("div", tag("table", title, *body), class_="scroll", tabindex="0", role="group")


def make_pairs(values: Mapping[str, Any]) -> Html:
    """Returns names with their values as a description list."""
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in values.items())
    return tag("dl", *pairs)


def make_tiles(values: Mapping[str, tuple[Any, Any]]) -> Html:
    """Returns large numbers side by side.

    Args:
        values: The number and a line below it, by the name of the number.
    """
    tiles = (
        tag("div", tag("span", name), tag("b", number), tag("small", below), class_="tile")
        for name, (number, below) in values.items()
    )
    return tag("div", *tiles, class_="tiles")


def make_details(summary: Any, *parts: Any, is_open: bool = False) -> Html:
    """Returns content that is folded below a summary."""
    return tag("details", tag("summary", summary), *parts, open="open" if is_open else None)


def make_note(severity: str, title: Any, *parts: Any) -> Html:
    """Returns a box with a message.

    Args:
        severity: `error`, `warning`, `info` or `good`, which is also written in the box.
        title: Short title.
        parts: Content of the box.
    """
    label = tag("span", severity, class_="pill")
    return tag("div", label, tag("b", title), " ", *parts, class_=f"note {severity}")


def make_figure(title: Any, *parts: Any, wide: bool = False, double: bool = False) -> Html:
    """Returns a chart, picture or table with its title.

    Args:
        title: Title.
        parts: Content.
        wide: Whether it takes a whole row of a grid.
        double: Whether it takes two columns of a grid, where there are two.
    """
    kind = "wide" if wide else "double" if double else None
    return tag("figure", tag("figcaption", title), *parts, class_=kind)


def make_grid(parts: Iterable[Any]) -> Html:
    """Returns parts side by side as far as the page is wide enough."""
    return tag("div", *parts, class_="grid")


def make_row(charts: Mapping[str, Html]) -> Html:
    """Returns charts with their titles side by side for a notebook, where a page has no styles.

    Args:
        charts: Charts by title; empty ones are left out.
    """
    style = "flex:1 1 240px;max-width:320px;font-size:12px"
    shown = (
        tag("div", tag("b", name), chart, style=style) for name, chart in charts.items() if chart
    )
    return tag("div", *shown, style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start")


def format_number(value: Any, digits: int = 3) -> str:
    """Returns a number with some decimal places; a dash for None and NaN."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def format_interval(interval: Any, digits: int = 3) -> str:
    """Returns the two bounds of an interval, or an empty text for None."""
    if not interval or None in interval:
        return ""
    return f"{interval[0]:.{digits}f} – {interval[1]:.{digits}f}"
