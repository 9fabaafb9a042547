"""Writes the results of an evaluation: predictions, metrics and plots."""

from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.evaluation.conventions.benchmark_protocol import select_rows
from dfjax.evaluation.conventions.protocol_names import COMPAT
from dfjax.evaluation.figures.plots import plot_roc
from dfjax.evaluation.figures.uncertainty_plot import plot_uncertainty
from dfjax.evaluation.metrics.uncertainty import aggregate_uncertainty, tabulate_risk
from dfjax.evaluation.report.input_record import PREDICTIONS, record_inputs
from dfjax.evaluation.report.metrics_json import Context
from dfjax.evaluation.tables.predictions import write_predictions
from dfjax.evaluation.videos.aggregation import score_videos
from dfjax.evaluation.videos.clusters import find_clusters, name_clusters
from dfjax.evaluation.videos.cuts import OVERALL, cut_tables, find_heldout, take_section
from dfjax.files import atomic_path, write_json


def write_results(
    out: Path, predictions: pd.DataFrame, result: dict[str, Any], context: Context, title: str
) -> None:
    """Writes `predictions.parquet`, `metrics.json` and `roc.png`.

    The record of inputs is added to the result (`input_record`). With several draws of each score
    `uncertainty.png` and `risk_coverage.csv` are written too. The predictions are written with a
    column that names the clusters of the bootstrap.

    Args:
        out: Folder of the files.
        predictions: Table with the columns `predictions.COLUMNS`.
        result: Content of `metrics.json`.
        context: Information besides the scores.
        title: Title of the pictures.
    """
    scores = score_videos(predictions)
    write_predictions(
        name_clusters(predictions, scores, find_clusters(scores, context.index)),
        out / "predictions.parquet",
        checkpoint=result["checkpoint"] or "",
        heldout_methods=context.heldout_methods,
    )
    videos = scores.videos
    cuts = cut_tables(predictions, videos, context.heldout_methods)
    unseen = {name: videos[cut] for name, cut in take_section(cuts, "unseen_methods").items()}
    shown, unit = videos[cuts[OVERALL]], "video"
    if context.numbers.protocol == COMPAT:  # AP and EER are of single frames
        shown, unit = select_rows(
            predictions, context.heldout_methods, context.numbers.first_frames
        )
        unseen = {}
    plot_roc(shown, result["overall"], out / "roc.png", unseen=unseen, title=title, unit=unit)
    if "uncertainty" in result:
        seen = predictions[~find_heldout(predictions, context.heldout_methods)]
        plot_uncertainty(seen, out / "uncertainty.png", title=title)
        with atomic_path(out / "risk_coverage.csv") as partial:
            tabulate_risk(aggregate_uncertainty(seen)).to_csv(partial, index=False)
    files = {PREDICTIONS: out / "predictions.parquet", **context.files}
    record_inputs(out, result, files, context.settings)
    write_json(out / "metrics.json", result)
