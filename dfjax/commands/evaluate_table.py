"""What `dfjax evaluate` prints: one compact table, then the flags."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfjax.console import one_line
from dfjax.data.index.frame_counts import describe_frames
from dfjax.evaluation.clusters import describe_clusters
from dfjax.evaluation.report_rows import (
    COLUMNS,
    INTERVAL,
    describe_uncertainty,
    describe_videos,
    format_row,
    list_rows,
)

COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


def print_tables(result: dict[str, Any]) -> None:
    """Prints the content of `metrics.json` on standard output, for people."""
    console = Console()
    if not console.is_terminal:
        console.width = 120  # a log is not cut off where a terminal would be
    heading = describe_videos(result)
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    for name in ("", *COLUMNS.values(), INTERVAL):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, metrics in list_rows(result):
        table.add_row(escape(one_line(name)), *format_row(metrics))
    console.print(table)
    drawn = describe_clusters(result["resampled"], result["clusters"])
    console.print(f"95 % intervals from resamples of {drawn}", highlight=False)
    frames = result["frames_per_video"]
    if frames and frames["ratio"]:
        console.print(f"frames per video: {describe_frames(frames)}", highlight=False)
    if "uncertainty" in result:
        console.print(describe_uncertainty(result["uncertainty"]), soft_wrap=True, highlight=False)
    for flag in result["flags"]:
        colour = COLOURS[flag["severity"]]
        text = (
            f"[{colour}]{flag['severity']}[/] {flag['code']}: {escape(one_line(flag['message']))}"
        )
        console.print(text, soft_wrap=True, highlight=False)
