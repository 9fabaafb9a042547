"""Shows further JSON files of a run, such as its calibration and its robustness."""

from __future__ import annotations

from typing import Any

from dfjax.evaluation.charts.markup import Html, join, make_pairs, make_table, tag, to_html
from dfjax.evaluation.report.calibration_section import draw_calibration
from dfjax.evaluation.report.stress_sections import draw_probe, draw_robustness

MOST_ROWS = 200
MOST_NUMBERS = 20  # of an array that is shown; longer ones have a value per video
DRAWN = {
    "calibration": draw_calibration,
    "robustness": draw_robustness,
    "probe": draw_probe,
}
"""Functions that draw the files whose layout `sources.DOCUMENTS` checks; others are tables."""
TITLES = {
    "calibration": "Calibration",
    "robustness": "Robustness",
    "probe": "Probe of shortcuts",
    "drift": "Drift",
    "fusion": "Fusion",
}


def draw_documents(documents: dict[str, Any]) -> Html:
    """Returns the parts of `sources.DOCUMENTS`, each below its title.

    Args:
        documents: Content of the files by name.
    """
    return join(
        to_html(tag("h3", TITLES[name]), DRAWN.get(name, draw_value)(content))
        for name, content in documents.items()
    )


def draw_value(value: Any) -> Html:
    """Returns a JSON value as HTML: rows of objects as a table, an object as pairs or tables."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        head = list(dict.fromkeys(key for item in value for key in item))
        cells = ([describe(item.get(key)) for key in head] for item in value[:MOST_ROWS])
        return make_table(head, cells)
    if not isinstance(value, dict):
        return to_html(describe(value))
    inner = {key: item for key, item in value.items() if isinstance(item, dict)}
    alike = len(inner) > 1 and all(not _is_nested(item) for item in inner.values())
    tables = {k: v for k, v in value.items() if k not in inner and _is_nested([v])}
    plain = {k: describe(v) for k, v in value.items() if k not in inner and k not in tables}
    parts: list[Any] = [make_pairs(plain)] if plain else []
    if alike:
        rows = [{"": key, **item} for key, item in inner.items()]
        parts.append(draw_value(rows))
    else:
        tables |= inner
    for key, item in tables.items():
        parts += [tag("h4", key), draw_value(item)]
    return to_html(*parts)


def _is_nested(value: Any) -> bool:
    """Returns whether a value holds objects, at any depth of arrays."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, dict) or _is_nested(item) for item in items if item is not value)


def describe(value: Any) -> str:
    """Returns a JSON value as text: numbers with up to four digits, short arrays in brackets."""
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        if len(value) > MOST_NUMBERS:
            return f"{len(value)} values"
        return f"[{', '.join(map(describe, value))}]"
    return str(value)
