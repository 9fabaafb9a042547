"""Writes what an evaluation leaves in its folder: predictions, metrics and plots."""

from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.evaluation.plots import plot_roc
from dfjax.evaluation.predictions import write_predictions
from dfjax.evaluation.report import Context, split_methods, split_unseen
from dfjax.evaluation.uncertainty_plot import plot_uncertainty
from dfjax.files import write_json


def write_results(
    out: Path, predictions: pd.DataFrame, result: dict[str, Any], context: Context, title: str
) -> None:
    """Writes `predictions.parquet`, `metrics.json`, `roc.png` and, of draws, `uncertainty.png`."""
    write_predictions(
        predictions,
        out / "predictions.parquet",
        checkpoint=result["checkpoint"] or "",
        heldout_methods=context.heldout_methods,
    )
    seen, unseen = split_unseen(predictions, context.heldout_methods)
    plot_roc(seen, result["overall"], out / "roc.png", unseen=split_methods(unseen), title=title)
    if "uncertainty" in result:
        plot_uncertainty(seen, out / "uncertainty.png", title=title)
    write_json(out / "metrics.json", result)
