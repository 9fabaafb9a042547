"""The parts of a page that show one evaluation: numbers, flags, curves, histograms and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dfjax import FAKE, REAL
from dfjax.evaluation.charts.markup import (
    Html,
    format_interval,
    format_number,
    join,
    make_details,
    make_figure,
    make_grid,
    make_note,
    make_table,
    make_tiles,
    tag,
    to_html,
)
from dfjax.evaluation.charts.score_charts import (
    draw_confidences,
    draw_confusion,
    draw_intervals,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
    draw_scores,
)
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.metrics import Metrics
from dfjax.evaluation.report.calibration_section import draw_guaranteed
from dfjax.evaluation.report.rows import COLUMNS, format_row, list_cells
from dfjax.evaluation.videos.aggregation import aggregate, clean

TILES = {"video_auc": "AUC", "ap": "average precision", "eer": "equal error rate"} | {
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "ece": "calibration error",
}
SHOWN_IDS, SHOWN_METHODS, SHOWN_CURVES = 40, 12, 5


def draw_tiles(result: Mapping[str, Any]) -> Html:
    """Returns the main metrics of `overall` with their intervals, as large numbers.

    Args:
        result: Content of `metrics.json`.
    """
    metrics = result["overall"]
    return make_tiles(
        {
            title: (format_number(metrics.get(name)), format_interval(metrics.get(f"{name}_ci")))
            for name, title in TILES.items()
        }
    )


def draw_flags(flags: Sequence[Flag]) -> Html:
    """Returns a box for each flag, with the ids that it concerns."""
    return join(_draw_flag(flag) for flag in flags)


def _draw_flag(flag: Flag) -> Html:
    ids = flag["ids"]
    more = f" … and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    listed = join(to_html(tag("code", name), " ") for name in ids[:SHOWN_IDS])
    details = make_details(f"{len(ids)} ids", listed, more) if ids else ""
    return make_note(flag["severity"], flag["code"], tag("div", flag["message"]), details)


def draw_metric_table(result: Mapping[str, Any]) -> Html:
    """Returns the table of metrics: overall, by data set, by manipulation and held back."""
    head, *rows = list_cells(dict(result))
    return make_table(head, rows)


def split_videos(
    result: Mapping[str, Any], predictions: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Returns the videos of `overall`, and those of each manipulation held back from training.

    Args:
        result: Content of `metrics.json`.
        predictions: Table with the columns `predictions.COLUMNS`.
    """
    videos = aggregate(clean(predictions))
    held = set(result["heldout_methods"])
    fake = videos["label"] == FAKE
    unseen = {
        str(name): videos[(videos["method"] == name) & fake | (videos["label"] == REAL)]
        for name in sorted(held & set(videos.loc[fake, "method"]))
    }
    return videos[~(fake & videos["method"].isin(held))], unseen


def draw_curves(
    result: Mapping[str, Any],
    videos: pd.DataFrame,
    unseen: Mapping[str, pd.DataFrame],
) -> Html:
    """Returns ROC, precision and recall, reliability, confusion, scores, confidences, verdicts.

    Args:
        result: Content of `metrics.json`.
        videos: Videos of `overall`.
        unseen: Videos of the manipulations held back from training.
    """
    some = dict(list(unseen.items())[:SHOWN_CURVES])
    curves = {"overall": videos} | {f"unseen: {name}": rows for name, rows in some.items()}
    metrics = {"overall": result["overall"]}
    metrics |= {f"unseen: {name}": row for name, row in result["unseen_methods"].items()}
    confusion = draw_confusion(result["overall"])
    charts = {
        "ROC": draw_roc(curves, metrics),
        "Precision and recall": draw_precision_recall(curves, metrics),
        "Reliability": draw_reliability({"detector": videos}) if len(videos) else "",
        "Scores": draw_scores(videos) if len(videos) else "",
        "Confidence": draw_confidences(videos) if len(videos) else "",
        "Verdicts at 0.5": to_html(
            tag("div", confusion, class_="scroll", tabindex="0", role="group"),
            draw_guaranteed(result.get("calibration")),
        )
        if confusion
        else "",
    }
    return make_grid(make_figure(title, chart) for title, chart in charts.items() if chart)


def draw_methods(
    result: Mapping[str, Any],
    videos: pd.DataFrame,
    unseen: Mapping[str, pd.DataFrame],
) -> Html:
    """Returns the AUC with intervals by data set and manipulation, and histograms of the latter.

    Args:
        result: Content of `metrics.json`.
        videos: Videos of `overall`.
        unseen: Videos of the manipulations held back from training.
    """
    rows: dict[str, Metrics] = {"overall": result["overall"]}
    rows |= result["by_dataset"] if len(result["by_dataset"]) > 1 else {}
    rows |= result["by_method"]
    rows |= {f"unseen: {name}": row for name, row in result["unseen_methods"].items()}
    real = videos["label"] == REAL
    sets = {
        str(name): videos[real | (videos["method"] == name)]
        for name in videos.loc[~real, "method"].drop_duplicates().sort_values()
    }
    sets |= {f"unseen: {name}": rows for name, rows in unseen.items()}
    figures = [make_figure(name, draw_scores(each, name)) for name, each in sets.items()]
    more = figures[SHOWN_METHODS:]
    intervals = draw_intervals(dict(list(rows.items())[:SHOWN_IDS]))
    first = [make_figure("AUC by data set and manipulation", intervals)] if intervals else []
    return to_html(
        make_grid([*first, *figures[:SHOWN_METHODS]]),
        make_details(f"{len(more)} more manipulations", make_grid(more)) if more else "",
    )


def draw_identities(result: Mapping[str, Any]) -> Html:
    """Returns the metrics of the videos of each person, or "" where persons are not known."""
    people = result.get("by_identity", {})
    if not people:
        return Html()
    worst = sorted(people.items(), key=lambda item: (item[1].get("accuracy") or 0.0, item[0]))
    table = make_table(["person", *COLUMNS.values(), ""], ([n, *format_row(m)] for n, m in worst))
    return make_details(f"Metrics of {len(people)} persons, the lowest accuracy first", table)
