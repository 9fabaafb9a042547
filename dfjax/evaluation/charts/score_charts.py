"""Charts of the scores of videos: ROC, precision and recall, reliability, confusion, histograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from dfjax import FAKE, REAL
from dfjax.evaluation.charts.markup import Html, format_interval, format_number, tag, to_html
from dfjax.evaluation.charts.svg import COLOURS, REFERENCE, SERIES, Number, Plot, Stroke
from dfjax.evaluation.metrics import Metrics, roc
from dfjax.evaluation.statistics.reliability import compute_bins

BINS = 20
Curve = tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]


def draw_roc(curves: Mapping[str, pd.DataFrame], metrics: Mapping[str, Metrics]) -> Html:
    """Returns the ROC curves of some sets of videos, or "" if none has both classes.

    Args:
        curves: Videos (`aggregation.aggregate`) by the name of the curve.
        metrics: Metrics of the same videos, for the legend.
    """
    plot = Plot("ROC curves of videos", x_label="false-positive rate", y_label="true-positive rate")
    plot.add_line([0, 1], [0, 1], REFERENCE)
    fill = len(curves) == 1
    drawn = _add_curves(plot, curves, roc, metrics, ("AUC", "video_auc"), fill=fill)
    return plot.render() if drawn else Html()


def draw_precision_recall(
    curves: Mapping[str, pd.DataFrame], metrics: Mapping[str, Metrics]
) -> Html:
    """Returns the curves of precision against recall; arguments as those of `draw_roc`."""
    plot = Plot("Precision against recall", x_label="recall of fakes", y_label="precision")
    drawn = _add_curves(plot, curves, compute_precision_recall, metrics, ("AP", "ap"))
    if not drawn:
        return Html()
    prior = float((curves[drawn[0]]["label"] == FAKE).mean())
    plot.add_line([0, 1], [prior] * 2, REFERENCE)
    return plot.render()


def _add_curves(
    plot: Plot,
    sets: Mapping[str, pd.DataFrame],
    compute: Callable[[pd.DataFrame], Curve | None],
    metrics: Mapping[str, Metrics],
    metric: tuple[str, str],
    *,
    fill: bool = False,
) -> list[str]:
    """Adds the curve of each set of videos that has one, and returns the names of these sets."""
    label, key = metric
    drawn: list[str] = []
    for name, videos in sets.items():
        curve = compute(videos)
        if curve is not None:
            text = f"{name}: {label} {describe_metric(metrics.get(name, {}), key)}"
            plot.add_line(*curve, _choose(len(drawn)), label=text, fill=fill)
            drawn.append(name)
    return drawn


def compute_precision_recall(videos: pd.DataFrame) -> Curve | None:
    """Returns recall and precision at every distinct score, the highest first; None without fakes.

    Args:
        videos: One row per video with its `label` and `fake_prob`.
    """
    scores = videos["fake_prob"].to_numpy(np.float64)
    fake = videos["label"].to_numpy(np.int64)[np.argsort(-scores, kind="stable")] == FAKE
    if not fake.any():
        return None
    ordered = np.sort(scores)[::-1]
    last = np.flatnonzero(np.r_[np.diff(ordered) < 0, True])  # of each group of equal scores
    found = np.cumsum(fake)[last]
    recall, precision = found / fake.sum(), found / (last + 1)
    return np.r_[0.0, recall], np.r_[precision[0], precision]


def draw_reliability(sets: Mapping[str, pd.DataFrame]) -> Html:
    """Returns the share of fakes by P(fake), which is the diagonal where probabilities are right.

    Args:
        sets: Videos by the name of the curve, such as before and after calibration.
    """
    plot = Plot("Reliability", x_label="mean P(fake)", y_label="share of fakes")
    plot.add_line([0, 1], [0, 1], REFERENCE, label="calibrated")
    for number, (name, videos) in enumerate(sets.items()):
        means, shares, counts = compute_bins(
            videos["fake_prob"].to_numpy(np.float64), videos["label"].to_numpy(np.int64)
        )
        stroke = _choose(number)
        plot.add_line(means, shares, stroke, label=name)
        for mean, share, count in zip(means, shares, counts):
            tip = f"{count} videos: mean P(fake) {mean:.3f}, {share:.1%} are fake"
            radius = 2.5 + 4.5 * float(np.sqrt(count / counts.max()))
            plot.add_dot(mean, share, stroke.colour, label=tip, radius=radius)
    return plot.render()


def draw_confusion(metrics: Metrics) -> Html:
    """Returns the confusion matrix at the threshold 0.5 as a table, or "" where it is not known."""
    counts = [metrics.get(name) for name in ("tn", "fp", "fn", "tp")]
    if any(not isinstance(count, float) for count in counts):
        return Html()
    tn, fp, fn, tp = (float(count) for count in counts if isinstance(count, float))
    rows = []
    for name, right, wrong, order in (("real", tn, fp, 1), ("fake", tp, fn, -1)):
        total = right + wrong
        cells = [shade_share(n / total if total else 0.0, f"{n:.0f}") for n in (right, wrong)]
        cells = cells[::order]
        rows.append(tag("tr", tag("th", name, scope="row"), *cells))
    heads = (tag("th", name, scope="col") for name in ("", "called real", "called fake"))
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows))


def shade_share(share: float | None, count: str) -> Html:
    """Returns the cell of a table with a share, and a count before it; dark where it is large."""
    tint = f"background:color-mix(in srgb,{SERIES[0].colour} {45 * (share or 0):.0f}%,transparent)"
    text = "–" if share is None else f"{share:.1%}"
    return tag("td", *([count, " ", tag("small", text)] if count else [text]), style=tint)


def draw_scores(
    videos: pd.DataFrame, title: str = "Scores", *, size: tuple[int, int] = (340, 230)
) -> Html:
    """Returns a histogram of P(fake) of real and of fake videos.

    Args:
        videos: One row per video with its `label` and `fake_prob`.
        title: Text that screen readers read.
        size: Width and height in pixels.
    """
    edges = np.linspace(0, 1, BINS + 1)
    shares = {}
    for name, label in (("real", REAL), ("fake", FAKE)):
        scores = videos.loc[videos["label"] == label, "fake_prob"].to_numpy(np.float64)
        shares[name] = np.histogram(scores, edges)[0], len(scores)
    most = max(counts.max() for counts, _ in shares.values())
    plot = Plot(
        title, y=(0, float(max(most, 1)) * 1.05), x_label="P(fake)", y_label="videos", size=size
    )
    for name, (counts, total) in shares.items():
        if total:
            plot.add_bars(edges, counts, COLOURS[name], label=f"{name} ({total})", unit="videos")
    plot.add_line([0.5, 0.5], plot.y, REFERENCE)
    return plot.render()


def draw_confidences(videos: pd.DataFrame) -> Html:
    """Returns a histogram of the confidence max(p, 1 - p) of right and of wrong verdicts."""
    scores = videos["fake_prob"].to_numpy(np.float64)
    right = (scores >= 0.5) == (videos["label"].to_numpy() == FAKE)
    confidence = np.maximum(scores, 1 - scores)
    edges = np.linspace(0.5, 1, BINS // 2 + 1)
    found = {
        name: np.histogram(confidence[m], edges)[0]
        for name, m in (("right", right), ("wrong", ~right))
    }
    most = max(counts.max() for counts in found.values())
    plot = Plot(
        "Confidence of right and wrong verdicts", x=(0.5, 1), y=(0, max(float(most), 1) * 1.05),
        x_label="confidence", y_label="videos",
    )  # fmt: skip
    for (name, counts), colour in zip(found.items(), (SERIES[2].colour, SERIES[3].colour)):
        plot.add_bars(edges, counts, colour, label=f"{name} ({counts.sum()})", unit="videos")
    return plot.render()


def draw_intervals(
    rows: Mapping[str, Metrics], name: str = "video_auc", *, label: str = "AUC"
) -> Html:
    """Returns a metric of several sets of videos with its 95 % intervals, one below the other.

    Args:
        rows: Metrics by the name of the row.
        name: Metric to draw.
        label: Label of the axis.
    """
    shown = {row: metrics for row, metrics in rows.items() if isinstance(metrics.get(name), float)}
    if not shown:
        return Html()
    bounds = [_find_bounds(metrics, name) for metrics in shown.values()]
    low = min(0.5, *(low for _, low, _ in bounds)) - 0.02
    ticks: dict[Number, str] = {len(shown) - at: _shorten(row) for at, row in enumerate(shown)}
    plot = Plot(
        f"{label} with 95 % intervals", x=(max(low, 0.0), 1.0), y=(0.4, len(shown) + 0.6),
        x_label=f"{label}, 95 % interval", size=(340, 60 + 24 * len(shown)), y_ticks=ticks,
        left=16 + 6.6 * max(map(len, ticks.values())),
    )  # fmt: skip
    for (at, row), metrics, (value, first, last) in zip(ticks.items(), shown.values(), bounds):
        plot.add_line([first, last], [at, at], Stroke(SERIES[0].colour, width=3))
        tip = f"{row}: {describe_metric(metrics, name)}"
        plot.add_dot(value, at, SERIES[0].colour, label=tip)
    return plot.render()


def _find_bounds(metrics: Metrics, name: str) -> tuple[float, float, float]:
    """Returns a metric and the bounds of its interval, which are the metric itself without one."""
    value, interval = metrics[name], metrics.get(f"{name}_ci")
    assert isinstance(value, float)
    low, high = interval if isinstance(interval, list) else (value, value)
    return value, low, high


def describe_metric(metrics: Metrics, name: str) -> Html:
    """Returns a metric with its interval in brackets."""
    interval = format_interval(metrics.get(f"{name}_ci"))
    number = format_number(metrics.get(name))
    return to_html(number, f" [{interval}]" if interval else "")


def _shorten(text: str, most: int = 20) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _choose(number: int) -> Stroke:
    """Returns the look of a curve; that of a single one is solid and has the colour of fakes."""
    first = Stroke(COLOURS["fake"])
    return (first, SERIES[0], *SERIES[2:])[number % len(SERIES)]
