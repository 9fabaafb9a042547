"""The rows and columns in which an evaluation is shown, as text, as HTML and on the terminal."""

from typing import Any

from dfjax.evaluation.metrics import Metrics

COLUMNS = {
    "video_auc": "AUC",
    "ap": "AP",
    "eer": "EER",
    "accuracy": "acc",
    "f1": "F1",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "ece": "ECE",
}
"""Metrics that are shown, and what stands above them; after them comes the interval of the AUC."""
INTERVAL = "AUC 95 %"


def list_rows(result: dict[str, Any]) -> list[tuple[str, Metrics]]:
    """Returns the rows that are shown of `metrics.json`: names and metrics.

    All videos, each data set and manipulation where there are several, the mean over the
    manipulations, and those held back from training.
    """
    rows = [("overall", result["overall"])]
    if len(result["by_dataset"]) > 1:
        rows += list(result["by_dataset"].items())
    if len(result["by_method"]) > 1:
        rows += [*result["by_method"].items(), ("macro", result["macro"])]
    return rows + [(f"unseen: {name}", m) for name, m in result["unseen_methods"].items()]


def format_row(metrics: Metrics) -> list[str]:
    """Returns the cells of one row: a number for each of `COLUMNS`, and the interval of the AUC."""
    cells = [format_number(metrics.get(name)) for name in COLUMNS]
    interval = metrics.get("video_auc_ci")
    return [*cells, "–".join(f"{x:.3f}" for x in interval) if isinstance(interval, list) else ""]


def format_number(value: Any) -> str:
    """Returns a number with three digits, a dash for None."""
    return "–" if value is None else f"{value:.3f}"


def describe_videos(result: dict[str, Any]) -> str:
    """Returns how many videos of which class and split were evaluated."""
    n = result["n"]
    return f"{n['videos']} videos ({n['real']} real, {n['fake']} fake) · split {result['split']}"
