"""What `dfjax evaluate` prints: one compact table, then the flags."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

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
    for flag in result["flags"]:
        colour = COLOURS[flag["severity"]]
        text = f"[{colour}]{flag['severity']}[/] {flag['code']}: {escape(flag['message'])}"
        console.print(text, soft_wrap=True, highlight=False)


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
