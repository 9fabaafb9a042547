"""Tests of the charts: values by hand, positions of points, and texts that are no markup."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_curve

from dfjax.evaluation.charts.markup import Html, format_interval, make_table, tag, to_html
from dfjax.evaluation.charts.page import Section, make_page
from dfjax.evaluation.charts.run_charts import draw_history, find_best
from dfjax.evaluation.charts.score_charts import (
    compute_precision_recall,
    draw_confidences,
    draw_confusion,
    draw_intervals,
    draw_reliability,
    draw_roc,
    draw_scores,
)
from dfjax.evaluation.charts.svg import LEFT, SERIES, TOP, Plot, choose_ticks

HOSTILE = "<script>alert(1)</script>\"'&\u202e\n"


def videos(scores, labels):
    return pd.DataFrame({"fake_prob": scores, "label": labels})


def test_only_html_is_markup():
    assert to_html(Html("<b>"), "<b>") == "<b>&lt;b&gt;"
    assert tag("p", "<i>", class_="a", data_x='"') == '<p class="a" data-x="&quot;">&lt;i&gt;</p>'
    table = make_table([HOSTILE], [[HOSTILE, HOSTILE]], caption=HOSTILE)
    root = ET.fromstring(table)
    assert not list(root.iter("script")) and "\u202e" not in table and "\\n" in table
    page = make_page(HOSTILE, HOSTILE, [Section("a", HOSTILE, [HOSTILE], HOSTILE)], foot=HOSTILE)
    assert "<script" not in page and page.count("&lt;script&gt;") >= 6


def test_a_page_leaves_out_sections_without_content():
    page = make_page("t", "", [Section("a", "A", [""]), Section("b", "B", ["text"])])
    assert 'href="#b"' in page and 'href="#a"' not in page


def test_points_are_where_the_axes_say():
    plot = Plot("", x=(0, 10), y=(0, 2), size=(340, 276))
    assert plot.place(0, 2) == (LEFT, TOP)
    assert plot.place(10, 0) == (330.0, 236.0)
    plot.add_line([0, np.nan, 10], [0, 1, 2], SERIES[0])
    assert re.search(r'points="([^"]*)"', plot.render())[1] == "46,236 330,10"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.5, 0.8, [0.5, 0.6, 0.7, 0.8]), (0, 7, [0, 2, 4, 6])],
)
def test_ticks_are_round_numbers(low, high, ticks):
    assert choose_ticks(low, high) == ticks


def test_precision_and_recall_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 50), rng.integers(0, 12, 50) / 11
    recall, precision = compute_precision_recall(videos(scores, labels))
    wanted = precision_recall_curve(labels, scores)
    np.testing.assert_allclose(recall[1:], wanted[1][:-1][::-1], atol=1e-12)
    np.testing.assert_allclose(precision[1:], wanted[0][:-1][::-1], atol=1e-12)
    assert compute_precision_recall(videos([0.1, 0.2], [0, 0])) is None


def test_histograms_count_every_video_once():
    rows = videos([0.0, 0.01, 0.99, 1.0, 0.6], [0, 1, 1, 1, 0])
    for drawing in (draw_scores(rows), draw_confidences(rows)):
        counts = re.findall(r": (\d+) videos</title>", drawing)
        assert sum(map(int, counts)) == 5
        ET.fromstring(f"<div>{drawing}</div>")


def test_curves_of_one_class_are_left_out():
    assert draw_roc({"a": videos([0.1], [0])}, {}) == ""
    assert draw_confusion({"tp": None}) == "" and draw_intervals({"a": {}}) == ""
    drawing = draw_roc({HOSTILE: videos([0.1, 0.9], [0, 1])}, {HOSTILE: {"video_auc": 1.0}})
    assert "<script" not in drawing and "AUC 1.000" in drawing
    assert draw_reliability({"a": videos([0.1], [0])}).count("<circle") == 1


def test_the_matrix_has_the_counts_in_their_cells():
    table = draw_confusion({"tn": 8.0, "fp": 2.0, "fn": 1.0, "tp": 9.0})
    cells = ["".join(cell.itertext()) for cell in ET.fromstring(table).iter("td")]
    assert cells == ["8 80.0%", "2 20.0%", "1 10.0%", "9 90.0%"]


def test_intervals_have_a_row_each():
    rows = {"a": {"video_auc": 0.8, "video_auc_ci": [0.7, 0.9]}, "b": {"video_auc": 0.6}}
    drawing = draw_intervals(rows)
    assert drawing.count("<circle") == 2 and "a: 0.800 [0.700 – 0.900]" in drawing
    assert format_interval([None, 1.0]) == ""


def test_a_history_without_best_or_with_text_is_drawn():
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, np.nan], "val_loss": ["", "0.5"]})
    assert find_best(history) is None and list(draw_history(history)) == ["Loss"]
    history = history.assign(best=[1, 0], learning_rate=[0.1, 0.2])
    assert find_best(history) == 1 and "kept: epoch 1" in draw_history(history)["Loss"]
    assert list(draw_history(history)) == ["Loss", "Learning rate"]
