"""An evaluation as an HTML fragment for a notebook: a table, charts and the flags.

Styles are attributes of the elements, so that they do not affect the rest of the page. Text has the
colour of the page, so that it is readable in a dark theme too.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.evaluation.charts.markup import Html, make_row
from dfjax.evaluation.charts.score_charts import draw_roc, draw_scores
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.metrics import Metrics
from dfjax.evaluation.report.rows import (
    COLUMNS,
    INTERVAL,
    describe_intervals,
    describe_videos,
    format_row,
    list_rows,
)
from dfjax.evaluation.report.sections import split_videos

# Readable on white and on black.
COLOURS = {"error": "#D93A34", "warning": "#C27000", "info": "#2B85BF"}
CELL = "padding:1px 8px;text-align:right;white-space:nowrap;background:transparent"
SHOWN_IDS = 5


def draw_report(
    result: dict[str, Any], predictions: pd.DataFrame | None = None, out: Path | None = None
) -> str:
    """Returns the HTML of an evaluation.

    Args:
        result: Content of `metrics.json`.
        predictions: Predictions for the charts; None for no charts.
        out: Folder of the result files, which is named below the table.
    """
    notes = [describe_intervals(result)]
    notes += [f"checkpoint {result['checkpoint']}"] if result["checkpoint"] else []
    notes += [str(out)] if out else []
    charts = "" if predictions is None or "strict" in result else _draw_charts(predictions, result)
    return (
        '<div style="font-size:13px;line-height:1.5">'
        f"<div><b>{escape(describe_videos(result))}</b></div>"
        '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start">'
        f"{_draw_table(list_rows(result))}{charts}</div>"
        f'<div style="opacity:.7">{escape(" · ".join(notes))}</div>'
        f"{''.join(map(_draw_flag, result['flags']))}</div>"
    )


def _draw_charts(predictions: pd.DataFrame, result: dict[str, Any]) -> Html:
    """Returns the ROC curve and the scores of the videos of `overall`, or "" for one class.

    Args:
        predictions: Table with the columns `predictions.COLUMNS`.
        result: Content of `metrics.json`.
    """
    videos, _ = split_videos(result, predictions)
    curve = draw_roc({"overall": videos}, {"overall": result["overall"]})
    return make_row({"ROC": curve, "Scores": draw_scores(videos)}) if curve else Html()


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
