"""The first section of a report on several detectors: their metrics, curves and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dfjax.errors import UsageError
from dfjax.evaluation.charts.markup import make_figure, make_grid, make_note, make_table, tag
from dfjax.evaluation.charts.page import Section
from dfjax.evaluation.charts.score_charts import draw_precision_recall, draw_roc
from dfjax.evaluation.comparison.detectors import compare_scores
from dfjax.evaluation.comparison.differences import format_p
from dfjax.evaluation.report.rows import COLUMNS, INTERVAL, format_row
from dfjax.evaluation.report.sections import split_videos
from dfjax.inference.reporting.sources import RunSource


def draw_comparison(runs: Sequence[RunSource], names: Sequence[str]) -> list[Section]:
    """Returns the section that compares the first evaluations of several detectors; else none.

    Args:
        runs: Content of the workdirs.
        names: Names of the detectors.
    """
    shown = {name: run.evaluations[0] for name, run in zip(names, runs) if run.evaluations}
    if len(shown) < 2:
        return []
    head = ("detector", "split", *COLUMNS.values(), INTERVAL)
    rows = [
        [name, each.metrics["split"], *format_row(each.metrics["overall"])]
        for name, each in shown.items()
    ]
    content: list[Any] = [make_table(head, rows)]
    scored = {n: (e.metrics, e.predictions) for n, e in shown.items() if e.predictions is not None}
    videos = {name: split_videos(*each)[0] for name, each in scored.items()}
    metrics = {name: result["overall"] for name, (result, _) in scored.items()}
    charts = {"ROC": draw_roc(videos, metrics)}
    charts["Precision and recall"] = draw_precision_recall(videos, metrics)
    content.append(make_grid(make_figure(title, chart) for title, chart in charts.items() if chart))
    content += _draw_differences(scored)
    intro = "The first evaluation of each detector. Differences are paired, on the same videos."
    return [Section("comparison", "Comparison", content, intro)]


def _draw_differences(scored: Mapping[str, tuple[dict[str, Any], pd.DataFrame]]) -> list[Any]:
    if len(scored) < 2:
        return []
    held = {name for result, _ in scored.values() for name in result["heldout_methods"]}
    tables = [predictions for _, predictions in scored.values()]
    try:
        found = compare_scores(tables, list(scored), heldout_methods=held)
    except UsageError as error:
        return [make_note("info", "no paired differences", str(error))]
    rows = [
        [
            f"{row.a} − {row.b}",
            f"{row.difference:+.3f}",
            f"{row.low:+.3f} – {row.high:+.3f}",
            format_p(row.p_value),
            format_p(row.p_value_holm),
        ]
        for row in found.table.itertuples()
        if pd.notna(row.difference)
    ]
    head = ("difference of AUC", "", "95 % interval", "p", "p, corrected (Holm)")
    note = "; ".join(found.remarks)
    return [make_table(head, rows), tag("p", note, class_="quiet")] if rows else []
