"""An evaluation as one compact table, a line on its intervals, and its flags, for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from dfjax.console import one_line
from dfjax.data.index.frame_counts import describe_frames
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.report.rows import (
    COLUMNS,
    INTERVAL,
    describe_calibration,
    describe_intervals,
    describe_uncertainty,
    describe_videos,
    format_row,
    list_rows,
)

COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


def list_parts(result: dict[str, Any]) -> list[Table | Text]:
    """Returns the table and the lines below it, in order.

    Args:
        result: Content of `metrics.json`.
    """
    heading = Text(one_line(describe_videos(result)), style="table.title")
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    for name in ("", *COLUMNS.values(), INTERVAL):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, metrics in list_rows(result):
        table.add_row(Text(one_line(name)), *format_row(metrics))
    lines = [Text(describe_intervals(result))]
    frames = result["frames_per_video"]
    if frames and frames["ratio"]:
        lines.append(Text(f"frames per video: {describe_frames(frames)}"))
    if "uncertainty" in result:
        lines.append(Text(describe_uncertainty(result["uncertainty"])))
    if "calibration" in result:
        lines += map(Text, map(one_line, describe_calibration(result["calibration"])))
    return [table, *lines, *map(draw_flag, result["flags"])]


def draw_flag(flag: Flag) -> Text:
    """Returns the line of a flag: its severity, its code and its message."""
    severity, message = flag["severity"], one_line(flag["message"])
    return Text.assemble((severity, COLOURS[severity]), f" {flag['code']}: {message}")


def list_detectors(results: Mapping[str, dict[str, Any]]) -> Table:
    """Returns a table with a row for each detector: its overall metrics, videos and flags.

    Args:
        results: Content of `metrics.json` of each detector, by its name.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("", "videos", *COLUMNS.values(), INTERVAL, "flags"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, result in results.items():
        codes = [flag["code"] for flag in result["flags"] if flag["severity"] != "info"]
        cells = format_row(result["overall"])
        videos = str(result["n"]["videos"])
        table.add_row(Text(one_line(name)), videos, *cells, " ".join(dict.fromkeys(codes)))
    return table
