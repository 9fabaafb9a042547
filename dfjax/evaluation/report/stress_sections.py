"""The parts of a page that show `robustness.json` and `probe.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dfjax.evaluation.charts.markup import (
    Html,
    format_interval,
    format_number,
    make_figure,
    make_grid,
    make_table,
    tag,
    to_html,
)
from dfjax.evaluation.charts.svg import REFERENCE, SERIES, Number, Plot, Stroke

BAND = 1.4  # width of the line of an interval, in pixels


def draw_robustness(content: Mapping[str, Any]) -> Html:
    """Returns the AUC under each corruption by level, and a table of the areas.

    Args:
        content: Content of `robustness.json`.
    """
    curves = content["robustness"]
    if not curves:
        return Html()
    known = [value for curve in curves.values() for value in _list_values(curve)]
    low = max(0.0, min([0.5, *known]) - 0.02)
    figures = (
        make_figure(to_html(name, tag("small", curve["severity"])), _draw_curve(name, curve, low))
        for name, curve in curves.items()
    )
    head = ("corruption", "area", "95 %", "loss of AUC, 95 %", "AUC at the last level", "95 %")
    rows = [
        [
            name,
            format_number(curve["area"]),
            format_interval(curve["area_ci"]),
            format_interval(curve["loss_ci"]),
            format_number(curve["video_auc"][-1]),
            format_interval(curve["video_auc_ci"][-1]),
        ]
        for name, curve in curves.items()
    ]
    videos = next(iter(curves.values()))["videos"]
    left = [f"{name}: {reason}" for name, reason in content["left_out"].items()]
    said = (
        f"AUC of {videos} videos under corruptions of the face crops at five levels, with 95 % "
        "intervals; the dashed line is the AUC without one. The area is the mean AUC over levels."
    )
    return to_html(
        tag("p", said, class_="quiet"),
        make_grid(figures),
        make_table(head, rows),
        tag("p", f"Not measured: {'; '.join(left)}.", class_="quiet") if left else "",
    )


def _list_values(curve: Mapping[str, Any]) -> Iterable[float]:
    for value, interval in zip(curve["video_auc"], curve["video_auc_ci"]):
        yield from () if value is None else (value,)
        yield from interval or ()


def _draw_curve(name: str, curve: Mapping[str, Any], low: float) -> Html:
    """Returns the AUC by level, the first of which is without the corruption."""
    aucs = [float("nan") if value is None else value for value in curve["video_auc"]]
    names: dict[Number, str] = {0: "none"}
    names |= {level: f"{value:g}" for level, value in enumerate(curve["values"], 1)}
    plot = Plot(
        f"AUC under {name}", x=(-0.2, len(aucs) - 0.8), y=(low, 1.0), x_ticks=names,
        x_label=curve["severity"], y_label="AUC", size=(340, 220),
    )  # fmt: skip
    plot.add_line(plot.x, [aucs[0]] * 2, REFERENCE)
    for level, interval in enumerate(curve["video_auc_ci"]):
        if interval:
            plot.add_line([level] * 2, interval, Stroke(SERIES[0].colour, width=BAND))
    plot.add_line(range(len(aucs)), aucs, SERIES[0])
    for level, (auc, interval) in enumerate(zip(aucs, curve["video_auc_ci"])):
        if auc == auc:
            tip = f"{names.get(level, level)}: AUC {auc:.3f} [{format_interval(interval)}]"
            plot.add_dot(level, auc, SERIES[0].colour, label=tip, radius=3.5)
    return plot.render()


def draw_probe(content: Mapping[str, Any]) -> Html:
    """Returns the share of the AUC that each shortcut alone would give, as chart and table.

    Args:
        content: Content of `probe.json`.
    """
    rows, base, videos = content["shortcuts"], content["detector_auc"], content["videos"]
    said = (
        f"Real faces with one trace of fakes each, made without a generator: how much of the AUC "
        f"above chance ({format_number(base['video_auc'])} "
        f"[{format_interval(base.get('video_auc_ci'))}] on one clip of each of {videos['real']} "
        f"real and {videos['fake']} fake videos) the trace alone would give the detector. 0: it "
        "does not react to it. 1: it tells the trace as well as fakes. Shares need not add up to 1."
    )
    head = ("real faces with", "AUC", "95 %", "share", "95 %")
    cells = (
        [
            row["shortcut"],
            format_number(row["auc"]),
            format_interval(row.get("auc_ci")),
            format_number(row["share"], 2),
            format_interval(row.get("share_ci"), 2),
        ]
        for row in rows
    )
    chart = make_figure("Share of the AUC above chance", _draw_shares(rows))
    title = "AUC of changed against unchanged real faces"
    table = make_figure(title, make_table(head, cells), double=True)
    return to_html(tag("p", said, class_="quiet"), make_grid([chart, table]))


def _draw_shares(rows: list[dict[str, Any]]) -> Html:
    shown = [row for row in rows if row["share"] is not None]
    bounds = [row.get("share_ci") or [row["share"]] * 2 for row in shown]
    ends = [end for bound in bounds for end in bound if end is not None]
    ticks: dict[Number, str] = {len(shown) - at: row["shortcut"] for at, row in enumerate(shown)}
    plot = Plot(
        "Share of the AUC that shortcuts give", x=(min([0.0, *ends]) - 0.05, max([1.0, *ends])),
        y=(0.4, len(shown) + 0.6), x_label="share, 95 % interval", y_ticks=ticks,
        size=(340, 60 + 34 * len(shown)), left=16 + 6.2 * max(map(len, ticks.values()), default=0),
    )  # fmt: skip
    for at in (0, 1):
        plot.add_line([at, at], plot.y, REFERENCE)
    for place, row, bound in zip(ticks, shown, bounds):
        if None not in bound:
            plot.add_line(bound, [place] * 2, Stroke(SERIES[0].colour, width=3))
        tip = f"{row['shortcut']}: share {row['share']:.2f} [{format_interval(bound, 2)}]"
        plot.add_dot(row["share"], place, SERIES[0].colour, label=tip)
    return plot.render()
