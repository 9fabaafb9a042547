"""Tests that a report shows metrics.json as text, as a table and as valid HTML."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from dfjax.errors import UsageError
from dfjax.evaluation.charts.svg import TOP, Plot
from dfjax.evaluation.report.metrics_json import Context, make_metrics
from dfjax.evaluation.report.table import list_parts
from dfjax.evaluation.report.view import Report


def table(n=60, **columns):
    labels = np.arange(n) % 2
    method = np.where(labels == 1, np.array(["DF", "NT", "A<b>"])[np.arange(n) // 2 % 3], "real")
    rows = {
        "dataset": "d", "video_id": [f"v{i}" for i in range(n)], "unit": "video", "position": 0,
        "face": 0, "label": labels, "method": method, "split": "test",
        "fake_prob": np.linspace(0.1, 0.7, n) + 0.25 * labels * (method != "NT"),
    }  # fmt: skip
    return pd.DataFrame(rows | columns)


@pytest.fixture(scope="module")
def report():
    rows = table()
    flag = {"code": "leak", "severity": "error", "message": "a & b", "ids": list("abcdefg")}
    known = Context(heldout_methods=("NT",), checkpoint="best/3", flags=[flag])
    return Report(make_metrics(rows, known, resamples=20), rows)


def test_text_has_every_table_and_every_flag(report, capsys):
    text = repr(report)
    assert "60 videos (30 real, 30 fake) · split test" in text
    first = [line.split("  ")[0] for line in text.splitlines()]
    assert first[2:7] == ["overall", "A<b>", "DF", "macro", "unseen: NT"]
    assert f"{report.metrics['overall']['video_auc']:.3f}" in text and "error leak: a & b" in text
    assert "resamples of 60 videos" in text
    assert capsys.readouterr().out == ""


def test_table_has_every_metric(report):
    assert report.table.loc["DF", "ap"] == report.metrics["by_method"]["DF"]["ap"]
    assert len(report.table) == 5 and report.flags[0]["code"] == "leak"


def test_html_is_well_formed_escaped_and_shows_the_same_numbers(report):
    root = ET.fromstring(report._repr_html_().replace("&nbsp;", " "))
    cells = [[cell.text or "" for cell in row] for row in root.iter("tr")]
    assert [row[0] for row in cells] == ["", "overall", "A<b>", "DF", "macro", "unseen: NT"]
    assert cells[1][1] == f"{report.metrics['overall']['video_auc']:.3f}"
    text = "".join(root.itertext())
    assert "leak: a & b" in text and "a, b, c, d, e and 2 more" in text and "best/3" in text


def test_the_curve_is_that_of_overall(report):
    """The area under the drawn line is the AUC without the manipulation held back."""
    lines = re.findall(r'<polyline points="([^"]*)"', report._repr_html_())
    plot = Plot("")
    x, y = np.array([point.split(",") for point in lines[1].split()], float).T
    x, y = (x - plot.left) / plot.width, (y - TOP) / plot.height
    area = np.trapezoid(1 - y, x)
    assert area == pytest.approx(report.metrics["overall"]["video_auc"], abs=0.01)
    everything = make_metrics(report.predictions, resamples=0)["overall"]["video_auc"]
    assert abs(area - everything) > 0.01


def test_a_plot_has_the_curves_of_overall_and_of_what_was_held_back(report):
    curve, scores = report.plot().axes
    labels = [line.get_label() for line in curve.lines]
    assert sum(label.startswith("AUC ") for label in labels) == 1
    assert sum(label.startswith("unseen: NT") for label in labels) == 1
    with pytest.raises(UsageError, match="no predictions"):
        Report(report.metrics).plot()


def test_one_class_or_no_predictions_have_no_curve():
    rows = table(label=1, method="DF")
    result = make_metrics(rows, resamples=5)
    assert "<svg" not in Report(result, rows)._repr_html_()
    assert "<svg" not in Report(result)._repr_html_()
    assert "–" in repr(Report(result))


def test_names_forge_no_lines_and_no_colours(capsys):
    """Names are data: neither control characters nor the markup of the table counts."""
    odd = np.where(np.arange(20) % 2, "\x1b[31mred\nReport: all well [/bold]", "real")
    rows = table(20, method=odd, split="[/x]\x1b[1m")
    rows.loc[1, "fake_prob"] = np.nan
    report = Report(make_metrics(rows, resamples=20), rows)
    parts = list_parts(report.metrics)
    Console(force_terminal=False, width=200).print(*parts, sep="\n")
    for text in (repr(report), capsys.readouterr().out):
        assert "\x1b" not in text and text.count("\nReport: all well") == 0
        assert "[/x]\\x1b[1m" in text
