"""The rows and columns that show an evaluation as text and as HTML."""

from collections.abc import Sequence
from typing import Any

from dfjax.evaluation.conventions.protocol_names import COMPAT
from dfjax.evaluation.metrics import Metrics
from dfjax.evaluation.videos.clusters import count_videos, describe_clusters
from dfjax.evaluation.videos.cuts import SHOWN

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
"""Metrics that are shown, with their column headings; the interval of the AUC follows them."""
INTERVAL = "AUC 95 %"


def list_rows(result: dict[str, Any]) -> list[tuple[str, Metrics]]:
    """Returns the names and metrics of the rows that are shown.

    There are rows for all videos, for each data set and manipulation if there are several, for the
    mean over the manipulations, and for each manipulation held back from training; of very many
    data sets or manipulations only the `SHOWN` largest have rows.

    Args:
        result: Content of `metrics.json`.
    """
    rows = [("overall", result["overall"])]
    if len(result["by_dataset"]) > 1:
        rows += list(result["by_dataset"].items())[:SHOWN]
    if len(result["by_method"]) > 1:
        rows += [*list(result["by_method"].items())[:SHOWN], ("macro", result["macro"])]
    unseen = list(result["unseen_methods"].items())[:SHOWN]
    return rows + [(f"unseen: {name}", metrics) for name, metrics in unseen]


def list_cells(result: dict[str, Any]) -> list[list[str]]:
    """Returns the table of metrics as text: the headings, and `list_rows` with their names."""
    rows = [[name, *format_row(metrics)] for name, metrics in list_rows(result)]
    return [["", *COLUMNS.values(), INTERVAL], *rows]


def format_row(metrics: Metrics) -> list[str]:
    """Returns the cells of a row: the metrics of `COLUMNS`, and the interval of the AUC."""
    cells = [format_number(metrics.get(name)) for name in COLUMNS]
    interval = metrics.get("video_auc_ci")
    return [*cells, format_interval(interval) if isinstance(interval, list) else ""]


def format_number(value: Any) -> str:
    """Returns a number with three decimal places, or a dash for None."""
    return "–" if value is None else f"{value:.3f}"


def format_interval(interval: Sequence[float] | None, digits: int = 3) -> str:
    """Returns the bounds of an interval with some decimal places, or a dash for None."""
    return "–" if interval is None else "–".join(f"{bound:.{digits}f}" for bound in interval)


def describe_videos(result: dict[str, Any]) -> str:
    """Returns the numbers of evaluated videos by class, and the split, as text."""
    n = result["n"]
    videos = count_videos(n["videos"])
    return f"{videos} ({n['real']} real, {n['fake']} fake) · split {result['split']}"


def describe_intervals(result: dict[str, Any]) -> str:
    """Returns what the intervals are from, or what the numbers of the benchmark's protocol are of.

    Args:
        result: Content of `metrics.json`.
    """
    if "strict" in result:
        unit = "clips" if result["n"]["clips"] else "frames"
        return (
            f"{COMPAT}: AUC of videos; AP, EER and acc of single {unit}; macro is the mean over "
            "data sets; no intervals"
        )
    drawn = describe_clusters(result["resampled"], result["clusters"])
    return f"95 % intervals from resamples of {drawn}"


def describe_uncertainty(block: dict[str, Any]) -> str:
    """Returns how well the spread of draws tells wrong verdicts, beside the score alone."""
    spread, doubt = block["mutual_information"], block["doubt"]
    found, alone = (format_number(one["error_auc"]) for one in (spread, doubt))
    return (
        f"uncertainty: wrong verdicts {block['error_rate']:.1%}, found with AUC {found} (by the "
        f"score alone {alone}); area under risk and coverage "
        f"{spread['risk_coverage_area']:.3f} ({doubt['risk_coverage_area']:.3f})"
    )


def describe_calibration(block: dict[str, Any]) -> list[str]:
    """Returns lines on the calibration: log loss and ECE, shares of verdicts, the guarantee."""
    before, after = block["reliability"]["before"], block["reliability"]["after"]
    lines = [
        f"calibrated: log loss {before['log_loss']:.3f} to {after['log_loss']:.3f}, ECE "
        f"{before['ece']:.3f} to {after['ece']:.3f}"
    ]
    for kind, wrong in (("real", "false_alarm_rate"), ("fake", "miss_rate")):
        if block[wrong] is None:
            continue
        shares = ", ".join(f"{share:.1%} {name}" for name, share in block["verdicts"][kind].items())
        low, high = block[f"{wrong}_ci"]
        name = wrong.replace("_", " ").replace("false alarm", "false-alarm")
        lines.append(f"verdicts on {kind} videos: {shares}; {name} 95 % {low:.1%}–{high:.1%}")
    guarantee = block["guarantee"]
    if guarantee is None:
        return lines
    if not guarantee["holds"]:
        what = "no guarantee" if guarantee["holds"] is False else "guarantee not checked"
        return [*lines, f"{what}: {guarantee['reason']}"]
    limits = f"{guarantee['false_alarm_rate']:g} and {guarantee['miss_rate']:g}"
    return [*lines, f"guaranteed rates of false alarms and misses: {limits}"]
