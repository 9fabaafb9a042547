"""The parts of a page that show a calibration and the verdicts that it guarantees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dfjax.evaluation.charts.markup import (
    Html,
    format_interval,
    format_number,
    join,
    make_figure,
    make_grid,
    make_table,
    make_tiles,
    tag,
    to_html,
)
from dfjax.evaluation.charts.score_charts import shade_share
from dfjax.evaluation.charts.svg import REFERENCE, SERIES, Plot
from dfjax.evaluation.report.rows import describe_calibration

VERDICTS = ("real", "undecided", "fake")


def draw_calibration(content: Mapping[str, Any]) -> Html:
    """Returns the reliability before and after a calibration, its choice and its notes.

    Args:
        content: Content of `calibration.json`.
    """
    before, after = content["reliability"]["before"], content["reliability"]["after"]
    rates, groups = content["rates"], content["groups"]
    kind = content["map"]["kind"]
    tiles = {
        "map": (kind, "of the lowest log loss"),
        "log loss": (format_number(after["log_loss"]), f"{before['log_loss']:.3f} before"),
        "calibration error": (format_number(after["ece"]), f"{before['ece']:.3f} before"),
        "Brier score": (format_number(after["brier"]), f"{before['brier']:.3f} before"),
        "reals called fake": (f"≤ {rates['false_alarm']:.0%}", f"from {groups['real']} groups"),
        "fakes called real": (f"≤ {rates['miss']:.0%}", f"from {groups['fake']} groups"),
    }
    names = {"before": before} if kind == "none" else {"before": before, f"after: {kind}": after}
    head = ("map", "log loss", "95 %", "change", "95 %")
    rows = [
        [
            row["kind"],
            format_number(row["log_loss"]),
            format_interval(row["log_loss_ci"]),
            f"{row['change']:+.3f}",
            format_interval(row["change_ci"]),
        ]
        for row in content["choice"]
    ]
    videos = len(content["videos"]["label"])
    intro = f"Fitted to {videos} videos of the split {content['data']['split']}; all numbers here "
    return to_html(
        tag("p", intro, "are of cross-validation by groups on them.", class_="quiet"),
        make_tiles(tiles),
        make_grid(
            [
                make_figure("Reliability on the calibration videos", _draw_bins(names)),
                make_figure("Log loss in cross-validation", make_table(head, rows), double=True),
            ]
        ),
        tag("ul", *(tag("li", _begin(note)) for note in content["notes"]), class_="quiet"),
    )


def _draw_bins(sets: Mapping[str, Mapping[str, Any]]) -> Html:
    """Returns the share of fakes by P(fake), of bins that were counted when they were measured."""
    plot = Plot("Reliability", x_label="mean P(fake)", y_label="share of fakes")
    plot.add_line([0, 1], [0, 1], REFERENCE, label="calibrated")
    for stroke, (name, block) in zip(SERIES, sets.items()):
        bins = block["bins"]
        plot.add_line([one["mean"] for one in bins], [one["share"] for one in bins], stroke,
                      label=name)  # fmt: skip
        most = max((one["n"] for one in bins), default=1)
        for one in bins:
            tip = f"{one['n']} videos: mean P(fake) {one['mean']:.3f}, {one['share']:.1%} are fake"
            radius = 2.5 + 4.5 * float(np.sqrt(one["n"] / most))
            plot.add_dot(one["mean"], one["share"], stroke.colour, label=tip, radius=radius)
    return plot.render()


def draw_guaranteed(block: Mapping[str, Any] | None) -> Html:
    """Returns the shares of the verdicts of a calibration by class, or "" without one.

    Args:
        block: Block `calibration` of `metrics.json`.
    """
    if not block:
        return Html()
    rows = []
    for kind, shares in block["verdicts"].items():
        cells = (shade_share(shares[name], "") for name in VERDICTS)
        rows.append(tag("tr", tag("th", kind, scope="row"), *cells))
    heads = (tag("th", name, scope="col") for name in ("", *VERDICTS))
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows))
    guarantee = block["guarantee"]
    said = [describe_calibration(dict(block))[-1]] if guarantee else []
    said += guarantee.get("shortages", []) if guarantee else []
    lines = join(tag("p", tag("small", _begin(line)), class_="quiet") for line in said)
    title = tag("figcaption", "Verdicts of the calibration")
    return to_html(title, tag("div", table, class_="scroll", tabindex="0", role="group"), lines)


def _begin(sentence: str) -> str:
    """Returns a message as a sentence of a page."""
    return f"{sentence[:1].upper()}{sentence[1:]}."
