"""An evaluation as an HTML fragment for a notebook: a table, the ROC curve and the flags.

Styles are attributes of the elements, so that they do not affect the rest of the page. Text has the
colour of the page, so that it is readable in a dark theme too.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfjax import REAL
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.metrics import Metrics, roc
from dfjax.evaluation.report.rows import (
    COLUMNS,
    INTERVAL,
    describe_intervals,
    describe_videos,
    format_row,
    list_rows,
)
from dfjax.evaluation.videos.aggregation import aggregate, clean

# Readable on white and on black.
COLOURS = {"error": "#D93A34", "warning": "#C27000", "info": "#2B85BF"}
CURVE = "#D55E00"
SIDE = 180
"""Width and height of the ROC curve in pixels."""
CELL = "padding:1px 8px;text-align:right;white-space:nowrap;background:transparent"
SHOWN_IDS = 5


def draw_report(
    result: dict[str, Any], predictions: pd.DataFrame | None = None, out: Path | None = None
) -> str:
    """Returns the HTML of an evaluation.

    Args:
        result: Content of `metrics.json`.
        predictions: Predictions for the ROC curve; None for no curve.
        out: Folder of the result files, which is named below the table.
    """
    notes = [describe_intervals(result)]
    notes += [f"checkpoint {result['checkpoint']}"] if result["checkpoint"] else []
    notes += [str(out)] if out else []
    curve = "" if predictions is None or "strict" in result else draw_roc(predictions, result)
    return (
        '<div style="font-size:13px;line-height:1.5">'
        f"<div><b>{escape(describe_videos(result))}</b></div>"
        '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start">'
        f"{_draw_table(list_rows(result))}{curve}</div>"
        f'<div style="opacity:.7">{escape(" · ".join(notes))}</div>'
        f"{''.join(map(_draw_flag, result['flags']))}</div>"
    )


def draw_roc(predictions: pd.DataFrame, result: dict[str, Any]) -> str:
    """Returns the ROC curve of the videos of `overall` as SVG, or "" if there is one class only.

    Args:
        predictions: Table with the columns `predictions.COLUMNS`.
        result: Content of `metrics.json`.
    """
    videos = aggregate(clean(predictions))
    seen = set(result["by_method"])
    known = videos["method"].isin(seen) | (videos["dataset"] + "/" + videos["method"]).isin(seen)
    curve = roc(videos[known | (videos["label"] == REAL)])
    if curve is None:
        return ""
    fpr, tpr = curve
    points = np.column_stack([fpr, 1.0 - tpr]) * SIDE
    pixels = np.unique(points.round(), axis=0, return_index=True)[1]  # one point per pixel
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points[np.sort(pixels)])
    auc = format_row(result["overall"])[0]
    return (
        f'<svg width="{SIDE + 40}" height="{SIDE + 40}" viewBox="-30 -10 {SIDE + 40} {SIDE + 40}"'
        ' role="img" aria-label="ROC curve of videos" style="font-size:11px;flex:none">'
        f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="currentColor" opacity=".4"/>'
        f'<path d="M0 {SIDE}L{SIDE} 0" stroke="currentColor" opacity=".4" stroke-dasharray="4 4"/>'
        f'<polyline points="{line}" fill="none" stroke="{CURVE}" stroke-width="2"/>'
        f'<text x="{SIDE / 2}" y="{SIDE + 16}" text-anchor="middle" fill="currentColor">'
        "false-positive rate</text>"
        f'<text transform="translate(-10 {SIDE / 2}) rotate(-90)" text-anchor="middle"'
        ' fill="currentColor">true-positive rate</text>'
        f'<text x="{SIDE - 8}" y="{SIDE - 10}" text-anchor="end" fill="{CURVE}">AUC {auc}</text>'
        "</svg>"
    )


def _draw_table(rows: list[tuple[str, Metrics]]) -> str:
    """Returns the table of metrics; a long table scrolls."""
    heads = "".join(f'<th style="{CELL}">{name}</th>' for name in (*COLUMNS.values(), INTERVAL))
    lines = "".join(
        f'<tr><th style="{CELL};text-align:left">{escape(name)}</th>'
        + "".join(f'<td style="{CELL}">{cell}</td>' for cell in format_row(metrics))
        + "</tr>"
        for name, metrics in rows
    )
    return (
        '<div style="max-height:24em;overflow:auto"><table style="border-collapse:collapse;'
        'font-size:inherit">'
        f'<thead><tr><th style="{CELL}"></th>{heads}</tr></thead><tbody>{lines}</tbody>'
        "</table></div>"
    )


def _draw_flag(flag: Flag) -> str:
    colour, ids = COLOURS[flag["severity"]], flag["ids"]
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    listed = f": {', '.join(ids[:SHOWN_IDS])}{more}" if ids else ""
    return (
        f'<div style="border-left:4px solid {colour};padding-left:8px;margin-top:4px">'
        f'<b style="color:{colour}">{flag["severity"]}</b> {escape(flag["code"])}: '
        f'{escape(flag["message"])}<span style="opacity:.7">{escape(listed)}</span></div>'
    )
