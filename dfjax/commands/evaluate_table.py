"""What `dfjax evaluate` prints: one compact table, then the flags."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfjax.data.index.frame_counts import describe_frames
from dfjax.evaluation.clusters import describe_clusters

COLUMNS = {
    "video_auc": "AUC",
    "ap": "AP",
    "eer": "EER",
    "accuracy": "acc",
    "f1": "F1",
    "log_loss": "log loss",
    "ece": "ECE",
}
COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


def print_tables(result: dict[str, Any]) -> None:
    """Prints the content of `metrics.json` on standard output, for people."""
    console = Console()
    if not console.is_terminal:
        console.width = 120  # a log is not cut off where a terminal would be
    n = result["n"]
    heading = f"{n['videos']} videos ({n['real']} real, {n['fake']} fake) · split {result['split']}"
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    for name in ("", *COLUMNS.values(), "AUC 95 %"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, metrics in _rows(result):
        cells = [_number(metrics.get(key)) for key in COLUMNS]
        table.add_row(escape(name), *cells, _interval(metrics.get("video_auc_ci")))
    console.print(table)
    drawn = describe_clusters(result["resampled"], result["clusters"])
    console.print(f"95 % intervals from resamples of {drawn}", highlight=False)
    frames = result["frames_per_video"]
    if frames and frames["ratio"]:
        console.print(f"frames per video: {describe_frames(frames)}", highlight=False)
    if "uncertainty" in result:
        console.print(_describe_uncertainty(result["uncertainty"]), soft_wrap=True, highlight=False)
    for flag in result["flags"]:
        colour = COLOURS[flag["severity"]]
        text = f"[{colour}]{flag['severity']}[/] {flag['code']}: {escape(flag['message'])}"
        console.print(text, soft_wrap=True, highlight=False)


def _describe_uncertainty(block: dict[str, Any]) -> str:
    """How well the spread of draws tells wrong verdicts, beside the score alone."""
    spread, doubt = block["mutual_information"], block["doubt"]
    return (
        f"uncertainty: wrong verdicts {block['error_rate']:.1%}, found with AUC "
        f"{_number(spread['error_auc'])} (by the score alone {_number(doubt['error_auc'])}); area "
        f"under risk and coverage {spread['risk_coverage_area']:.3f} "
        f"({doubt['risk_coverage_area']:.3f})"
    )


def _rows(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    rows = [("overall", result["overall"])]
    if len(result["by_dataset"]) > 1:
        rows += list(result["by_dataset"].items())
    if len(result["by_method"]) > 1:
        rows += [*result["by_method"].items(), ("macro", result["macro"])]
    return rows + [(f"unseen: {name}", m) for name, m in result["unseen_methods"].items()]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(value: list[float] | None) -> str:
    return "" if value is None else f"{value[0]:.3f}–{value[1]:.3f}"
