"""Tests that tables resampled together equal those resampled alone; coverage of intervals."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from dfjax.evaluation.metrics import video_metrics
from dfjax.evaluation.report.metrics_json import make_metrics
from dfjax.evaluation.statistics import bootstrap
from dfjax.evaluation.statistics.class_scores import ClassScores, SortedScores


def videos(n, methods, seed=0):
    """Scores, labels and methods of n videos; ties included."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.3, n), 0, 1).round(2)
    return scores, labels, np.where(labels == 1, np.arange(n) // 2 % methods, -1)


def cut(scores, labels, method, names):
    return bootstrap.Tables(scores, labels, [(labels == 0) | (method == name) for name in names])


def test_resamples_draw_n_clusters_each_and_do_not_depend_on_the_chunk():
    one = np.concatenate(list(bootstrap.resample(7, 10, seed=3)))
    many = np.concatenate(list(bootstrap.resample(7, 10, seed=3, cells=14)))
    assert one.shape == (10, 7) and (one.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(one, many)


def test_each_table_takes_its_part_of_the_same_resamples():
    scores, labels, method = videos(60, 3)
    drawn = bootstrap.draw_statistics(
        cut(scores, labels, method, range(3)), np.arange(60), resamples=20, seed=4
    )
    counts = np.concatenate(list(bootstrap.resample(60, 20, seed=4))).astype(int)
    for name, found in enumerate(drawn):
        mine = np.flatnonzero((labels == 0) | (method == name))
        for row, count in enumerate(counts):
            rows = np.repeat(mine, count[mine])  # as if the table had been written out
            auc = sk.roc_auc_score(labels[rows], scores[rows])
            assert found["video_auc"][row] == pytest.approx(auc, abs=1e-9)
            f1 = sk.f1_score(labels[rows], scores[rows] >= 0.5, average="macro")
            assert found["macro_f1"][row] == pytest.approx(f1, abs=1e-9)
            brier = np.mean((scores[rows] - labels[rows]) ** 2)
            assert found["brier"][row] == pytest.approx(brier, abs=1e-9)


@pytest.mark.slow
def test_all_resamples_are_drawn_of_very_many_videos(monkeypatch):
    """They are drawn a few at a time, so that a million videos take a minute and no memory."""
    drawn = []
    draw = bootstrap.draw_statistics
    monkeypatch.setattr(
        video_metrics, "draw_statistics",
        lambda *args, resamples, seed: drawn.append(resamples) or draw(*args, resamples=2, seed=0),
    )  # fmt: skip
    scores, labels, _ = videos(150_000, 1)
    ids = pd.Series(np.arange(150_000)).astype(str)
    table = pd.DataFrame(
        {"dataset": "d", "video_id": ids, "unit": "video", "position": 0, "face": 0,
         "label": labels, "method": np.where(labels, "m", "real"), "fake_prob": scores,
         "split": "test"}
    )  # fmt: skip
    assert "1,000 resamples of 150,000 videos" in make_metrics(table)["protocol"]
    assert drawn == [1000]
    blocks = [block.shape for block in bootstrap.resample(150_000, 7, seed=0)]
    assert blocks == [(3, 150_000), (3, 150_000), (1, 150_000)]


def test_what_does_not_depend_on_weights_is_computed_once_for_all_blocks(monkeypatch):
    """A search of the scores in every block took a quarter of the time of 100,000 videos."""
    searches = []
    find = SortedScores.find
    monkeypatch.setattr(
        SortedScores,
        "find",
        lambda self, *args, **kw: searches.append(1) or find(self, *args, **kw),
    )
    monkeypatch.setattr(bootstrap.resample, "__kwdefaults__", {"cells": 60})
    scores, labels, _ = videos(60, 1)
    tables = bootstrap.Tables(scores, labels, [np.ones(60, bool)])
    (drawn,) = bootstrap.draw_statistics(tables, np.arange(60), resamples=20, seed=0)
    assert len(drawn["eer"]) == 20 and len(searches) == 2  # without and with ties


def test_whole_clusters_are_drawn():
    scores, labels = np.array([0.9, 0.6, 0.3, 0.1]), np.array([1, 1, 0, 0])
    tables = bootstrap.Tables(scores, labels, [np.ones(4, bool)])
    (drawn,) = bootstrap.draw_statistics(tables, np.array([0, 1, 0, 1]), resamples=200, seed=0)
    # Twice the first cluster, twice the second, or one of each, and nothing else.
    brier = {(0.01 + 0.09) / 2, (0.16 + 0.01) / 2, (0.01 + 0.09 + 0.16 + 0.01) / 4}
    assert {round(v, 9) for v in drawn["brier"]} == {round(v, 9) for v in brier}


def test_tables_with_the_same_reals_sort_them_once(monkeypatch):
    built = []
    init = ClassScores.__init__

    def counting(self, scores, weights):
        built.append(scores.label)
        init(self, scores, weights)

    monkeypatch.setattr(ClassScores, "__init__", counting)
    scores, labels, method = videos(220, 55)
    bootstrap.draw_statistics(
        cut(scores, labels, method, range(55)), np.arange(220), resamples=5, seed=0
    )
    assert (built.count(1), built.count(0)) == (55, 1)


def test_a_metric_that_most_resamples_leave_undefined_has_no_interval():
    values = {"most": np.r_[np.nan, 1.0, 2.0, 3.0], "few": np.r_[np.full(3, np.nan), 1.0]}
    found = bootstrap.compute_intervals(values)
    assert found["most_ci"] == pytest.approx([1.05, 2.95]) and found["few_ci"] is None


def test_ten_thousand_videos_of_55_methods_take_seconds():
    scores, labels, method = videos(10_000, 55)
    table = pd.DataFrame(
        {
            "dataset": "d", "video_id": [f"v{i}" for i in range(10_000)], "unit": "video",
            "position": 0, "face": 0, "label": labels, "fake_prob": scores, "split": "test",
            "method": np.where(labels == 1, np.char.add("m", method.astype(str)), "real"),
        }
    )  # fmt: skip
    start = time.process_time()
    assert len(make_metrics(table)["by_method"]) == 55
    assert time.process_time() - start < 15  # 40 s when every table drew its own resamples
