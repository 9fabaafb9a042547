"""Charts of a training run: its losses, its validation metrics and its learning rate by epoch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dfjax.evaluation.charts.markup import Html
from dfjax.evaluation.charts.svg import COLOURS, REFERENCE, SERIES, Number, Plot

LOSSES = {"train_loss": "training", "val_loss": "validation"}
METRICS = {
    "train_accuracy": "training accuracy",
    "val_video_auc": "validation AUC",
    "val_accuracy": "validation accuracy",
}
RATE = {"learning_rate": "learning rate"}


def draw_history(history: pd.DataFrame) -> dict[str, Html]:
    """Returns the curves of a training run by title, with a mark at the epoch that was kept.

    Args:
        history: Table `history.csv`, one row per epoch.
    """
    best = find_best(history)
    charts = {
        title: _draw(history, names, title, best, from_zero=from_zero, top=top)
        for title, names, from_zero, top in (
            ("Loss", LOSSES, True, None),
            ("Metrics", METRICS, False, 1.0),
            ("Learning rate", RATE, True, None),
        )
    }
    return {title: chart for title, chart in charts.items() if chart}


def find_best(history: pd.DataFrame) -> float | None:
    """Returns the last epoch that was the best so far, whose checkpoint was kept, or None."""
    if "best" not in history:
        return None
    best = history[history["best"].astype(str).str.lower().isin(("true", "1", "1.0"))]
    return float(best["epoch"].iloc[-1]) if len(best) else None


def _draw(
    history: pd.DataFrame,
    names: Mapping[str, str],
    title: str,
    best: float | None,
    *,
    from_zero: bool,
    top: float | None,
) -> Html | None:
    columns = {
        name: pd.to_numeric(history[name], errors="coerce") for name in names if name in history
    }
    shown = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    if not shown:
        return None
    epochs = history["epoch"].to_numpy(np.float64)
    low = 0.0 if from_zero else min(float(values.min()) for values in shown.values())
    high = top or 1.05 * max(float(values.max()) for values in shown.values())
    plot = Plot(
        f"{title} by epoch", x=(epochs.min(), epochs.max()), y=(low, high),
        x_label="epoch", size=(340, 240), x_ticks=_choose_epochs(epochs), left=58,
    )  # fmt: skip
    if best is not None:
        plot.add_line([best, best], plot.y, REFERENCE)
        plot.add_entry(f"kept: epoch {best:g}", COLOURS["quiet"], dashed=True)
    for number, (name, values) in enumerate(shown.items()):
        plot.add_line(epochs, values, SERIES[number], label=names[name], dots=len(history) < 30)
    return plot.render()


def _choose_epochs(epochs: np.ndarray) -> list[Number]:
    step = max(1, -(-len(epochs) // 10))
    return epochs[::step].tolist()
