"""Tests the choice of clusters, and intervals from clusters by hand and by their coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from dfjax.data.index.records import make_index, make_record
from dfjax.evaluation import metrics
from dfjax.evaluation.report.metrics_json import Context, make_metrics
from dfjax.evaluation.report.result_files import write_results
from dfjax.evaluation.statistics.bootstrap import Tables, compute_intervals, draw_statistics
from dfjax.evaluation.tables.predictions import read_predictions
from dfjax.evaluation.videos.aggregation import score_videos
from dfjax.evaluation.videos.clusters import find_clusters


def table(scores, labels, **columns):
    rows = {
        "dataset": "d", "video_id": [f"v{i:03d}" for i in range(len(scores))], "unit": "video",
        "position": 0, "face": 0, "label": labels, "fake_prob": scores, "split": "test",
        "method": np.where(np.asarray(labels) == 1, "DF", "real"),
    }  # fmt: skip
    return pd.DataFrame(rows | columns)


FOUR = table([0.9, 0.2, 0.3, 0.6], [1, 1, 0, 0])


def index(**columns):
    rows = [
        make_record(
            video_id=f"v{i:03d}", dataset="d", label=label, method="DF" if label else "real",
            **{name: values[i] for name, values in columns.items()},
        )
        for i, label in enumerate(FOUR["label"])
    ]  # fmt: skip
    return make_index(rows)


PAIRS = ["a", "b", "a", "b"]
PEOPLE = [["d/p", "d/q"], ["d/q", "d/p"], ["d/p"], ["d/r"]]


@pytest.mark.parametrize(
    ("columns", "kind", "number"),
    [
        ({}, "video", [0, 1, 2, 3]),
        ({"group": PAIRS, "origin_id": ["x"] * 3 + ["y"]}, "group", [0, 1, 0, 1]),
        ({"origin_id": PAIRS, "identities": PEOPLE}, "origin_id", [0, 1, 0, 1]),
        ({"identities": PEOPLE}, "identity", [0, 1, 0, 2]),
        ({"origin_id": [None, "x", None, "x"]}, "origin_id", [1, 0, 2, 0]),
        ({"group": ["all"] * 4, "origin_id": PAIRS}, "origin_id", [0, 1, 0, 1]),  # one is no draw
    ],
)
def test_the_first_column_that_puts_videos_together(columns, kind, number):
    found = find_clusters(score_videos(FOUR), index(**columns))
    assert (found.kind, found.number.tolist()) == (kind, number)


def test_the_clusters_of_an_index_are_used_before_those_of_the_table():
    scores = score_videos(FOUR.assign(group=["x", "x", "y", "y"]))
    assert find_clusters(scores).number.tolist() == [0, 0, 1, 1]
    assert find_clusters(scores, index(group=PAIRS)).number.tolist() == [0, 1, 0, 1]
    assert find_clusters(score_videos(FOUR)).kind == "video"


def test_an_interval_by_hand():
    """Two pairs, 0.9 over 0.3 and 0.2 under 0.6: AUC 1 or 0 of one pair twice, 1/2 of both."""
    rows = FOUR.assign(group=PAIRS)
    scores = score_videos(rows)
    cut = Tables(
        scores.videos["fake_prob"].to_numpy(), rows["label"].to_numpy(), [np.ones(4, bool)]
    )
    (drawn,) = draw_statistics(cut, find_clusters(scores).number, resamples=400, seed=0)
    values, counts = np.unique(drawn["video_auc"], return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    np.testing.assert_allclose(counts / 400, [0.25, 0.5, 0.25], atol=0.07)  # 3 standard errors
    assert metrics.compute(rows)["video_auc_ci"] == [0.0, 1.0]


def correlated(rng, groups=40, size=6):
    """A detector whose scores depend on the recording; the AUC of its population is 0.715."""
    group = np.repeat(np.arange(groups), size)
    labels = group % 2  # a recording has one class only, as where fakes have no real of their own
    logits = rng.normal(0, 1, groups)[group] + rng.normal(0, 0.5, groups * size) + 0.9 * labels
    return 1 / (1 + np.exp(-logits)), labels, group


def test_correlated_videos_have_wider_intervals_that_cover_the_truth():
    truth = norm.cdf(0.9 / np.sqrt(2 * (1 + 0.25)))
    rng = np.random.default_rng(0)
    covered, widths = {"groups": [], "videos": []}, {"groups": [], "videos": []}
    for repeat in range(100):
        scores, labels, group = correlated(rng)
        cut = Tables(scores, labels, [np.ones(len(scores), bool)])
        for name, clusters in (("groups", group), ("videos", np.arange(len(scores)))):
            (drawn,) = draw_statistics(cut, clusters, resamples=150, seed=repeat)
            low, high = compute_intervals(drawn)["video_auc_ci"]
            covered[name].append(low <= truth <= high)
            widths[name].append(high - low)
    # Of 400 tables 93 % are covered by the intervals of recordings, 63 % by those of videos.
    assert np.mean(covered["groups"]) > 0.85
    assert np.mean(covered["videos"]) < 0.75
    assert np.mean(widths["groups"]) > 1.8 * np.mean(widths["videos"])


def test_metrics_json_says_what_was_resampled_and_saved_tables_keep_it(tmp_path):
    known = index(group=PAIRS)
    result = make_metrics(FOUR, Context(index=known))
    assert (result["resampled"], result["clusters"]) == ("group", 2)
    assert "resamples of 2 groups of videos" in result["protocol"]
    assert make_metrics(FOUR)["resampled"] == "video"
    write_results(tmp_path, FOUR, result, Context(index=known), title="")
    again = read_predictions([tmp_path / "predictions.parquet"]).predictions
    assert again["group"].tolist() == PAIRS
    assert make_metrics(again)["overall"] == result["overall"]


def test_few_clusters_are_flagged_but_few_videos_are_not():
    for rows, flagged in ((FOUR.assign(group=PAIRS), True), (FOUR, False)):
        found = make_metrics(rows, resamples=0)["flags"]
        assert ("few_clusters" in [flag["code"] for flag in found]) is flagged
