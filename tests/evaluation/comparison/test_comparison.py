"""Tests paired differences: joined by id, computed by hand, and narrower than unpaired ones."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from dfjax.errors import UsageError
from dfjax.evaluation import metrics
from dfjax.evaluation.comparison.detectors import compare, compare_scores
from dfjax.evaluation.comparison.differences import format_p
from dfjax.evaluation.report.view import Report
from dfjax.evaluation.tables.predictions import read_predictions, write_predictions
from dfjax.evaluation.videos.clusters import count_videos, describe_clusters


def table(scores, labels, **columns):
    ids = [f"v{i:03d}" for i in range(len(scores))]
    return pd.DataFrame({"video_id": ids, "label": labels, "fake_prob": scores} | columns)


LABELS = np.arange(200) % 2


def detectors(seed=0, better=0.35):
    """Two detectors that share most of their noise; the first separates more."""
    rng = np.random.default_rng(seed)
    shared, own = rng.normal(0, 1, 200), rng.normal(0, 0.2, (2, 200))
    logits = shared + own + np.array([[1.0 + better], [1.0]]) * LABELS
    return [table(1 / (1 + np.exp(-row)), LABELS) for row in logits]


def test_pairing_finds_what_two_intervals_cannot():
    a, b = detectors()
    row = compare(a, b).table.iloc[0]
    alone = [
        metrics.compute(one.assign(dataset="d", unit="video", position=0, face=0, method="x"))
        for one in (a, b)
    ]
    assert row["value_a"] == alone[0]["video_auc"] and row["value_b"] == alone[1]["video_auc"]
    assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"])
    assert alone[0]["video_auc_ci"][0] < alone[1]["video_auc_ci"][1]  # they overlap
    assert 0 < row["low"] < row["difference"] < row["high"] and row["p_value"] < 0.05


def test_a_detector_is_no_better_than_itself_or_than_its_equal():
    a, _ = detectors()
    row = compare(a, a).table.iloc[0]
    assert (row["low"], row["difference"], row["high"], row["p_value"]) == (0.0, 0.0, 0.0, 1.0)
    p_values = [
        compare(*detectors(seed, better=0.0), resamples=100).table["p_value"][0]
        for seed in range(20)
    ]
    assert np.mean(np.array(p_values) < 0.1) < 0.3  # a tenth, and 3 standard errors


def test_the_other_order_has_the_other_sign():
    a, b = detectors()
    one, other = (compare(*pair).table.iloc[0] for pair in ((a, b), (b, a)))
    assert one["p_value"] == other["p_value"]
    assert (one["low"], one["high"]) == pytest.approx((-other["high"], -other["low"]))


def test_an_interval_by_hand():
    """Two groups: in one only a ranks right, in the other both do."""
    labels, group = [1, 0, 1, 0], ["g", "g", "h", "h"]
    a = table([0.9, 0.1, 0.9, 0.1], labels, group=group)
    b = table([0.1, 0.9, 0.95, 0.05], labels, group=group)
    found = compare(a, b)
    assert (found.resampled, found.clusters) == ("group", 2)
    row = found.table.iloc[0]
    # b has AUC 0 of the first group twice, 1 of the second twice, and 3/4 of both; a always has 1.
    assert (row["difference"], row["low"], row["high"]) == (0.25, 0.0, 1.0)
    assert row["p_value"] == pytest.approx(0.5, abs=0.1)  # a quarter of the resamples has 0


def test_videos_are_joined_by_id_and_others_are_counted():
    a, b = detectors()
    shuffled = b.iloc[::-1].iloc[20:].assign(dataset="ffpp")
    found = compare(a, shuffled, names=["one", "two"])
    assert found.videos == 180 and found.left_out == {"one": 20, "two": 0}
    assert found.table["value_b"][0] == compare(a[:180], b[:180]).table["value_b"][0]
    assert "20 videos of one are left out" in repr(found)


def test_detectors_without_some_scores_are_compared_on_what_each_pair_has():
    a, b = detectors()
    tables = [a, b[20:], b, a[20:].assign(video_id="x" + a["video_id"][20:])]
    tables = [read_predictions([one]).predictions for one in tables]
    found = compare_scores(tables, ["a", "b20", "b", "other"], resamples=200)
    rows = found.table.set_index(["a", "b"])
    assert list(rows.index) == list(itertools.combinations(["a", "b20", "b", "other"], 2))
    for pair, alone in {("a", "b"): (a, b), ("a", "b20"): (a, b[20:])}.items():
        expected = compare(*alone, resamples=200).table.iloc[0]
        for name in ("difference", "low", "high", "p_value", "p_delong"):
            assert rows.loc[pair, name] == expected[name]
    assert rows.loc[("b20", "b"), "difference"] == 0.0
    assert rows.loc[("a", "other")].drop("videos").isna().all()
    assert rows["videos"].tolist() == [180, 200, 0, 180, 0, 0]
    assert "of at most 200 videos" in repr(found) and "left out" not in repr(found)
    assert (rows["p_value_holm"].dropna() >= rows["p_value"].dropna()).all()


def test_workdirs_files_and_reports_are_read(tmp_path):
    a, b = detectors()
    full = b.assign(
        dataset="unknown", unit="video", position=0, face=0, method="x", logit=0.0, split="test"
    )
    write_predictions(
        full, tmp_path / "run" / "eval" / "test" / "predictions.parquet", checkpoint=""
    )
    a.to_csv(tmp_path / "other.csv", index=False)
    found = compare(tmp_path / "other.csv", tmp_path / "run", Report({"flags": []}, a), metric="ap")
    assert found.table[["a", "b"]].to_numpy().tolist() == [
        ["other", "run"], ["other", "table 3"], ["run", "table 3"],
    ]  # fmt: skip
    assert "corrected for 3 comparisons" in repr(found)
    root = ET.fromstring(found._repr_html_())
    assert len(list(root.iter("tr"))) == 4 and "ap of 200 videos" in "".join(root.itertext())
    with pytest.raises(UsageError, match="run has no predictions of split 'val'"):
        compare(tmp_path / "run", a, split="val")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.assign(video_id="x" + t["video_id"]), {}, "no video .* table 1, table 2"),
        (
            lambda t: t.assign(label=1 - t["label"]),
            {},
            "200 videos have two labels, for example unknown/v000",
        ),
        (lambda t: t, {"metric": "auc"}, "unknown metric"),
        (lambda t: t, {"names": ["a"]}, "2 detectors need 2 distinct names"),
        (lambda t: t[t["label"] == 1], {}, "video_auc is undefined"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(change, options, message):
    a, b = detectors()
    with pytest.raises(UsageError, match=message):
        compare(a, change(b), **options)
    with pytest.raises(UsageError, match="at least two"):
        compare(a)


def test_small_p_values_and_few_videos_are_said():
    assert (format_p(2e-5), format_p(0.04)) == ("<0.001", "0.040")
    two = pd.DataFrame({"video_id": ["a", "b"], "label": [0, 1], "fake_prob": [0.1, 0.9]})
    compared = compare(two, two.assign(fake_prob=0.5), names=["x", "y"], resamples=20)
    assert "only 2 videos: intervals and p-values say nothing" in repr(compared)
    assert "&lt;0.001" in compare(*detectors(better=3.0), resamples=2000)._repr_html_()
    assert count_videos(1) == "1 video" and describe_clusters("group", 1) == "1 group of videos"


def test_one_file_is_its_own_equal(tmp_path):
    a, _ = detectors()
    a.to_csv(tmp_path / "a.csv", index=False)
    compared = compare(tmp_path / "a.csv", tmp_path / "a.csv", resamples=20)
    (row,) = compared.table.to_dict(orient="records")
    assert row["b"] == f"{row['a']} (2)" and row["p_value"] == row["p_delong"] == 1.0


def test_a_test_without_variance_is_undefined_and_said():
    rows = pd.DataFrame({"video_id": list("abcd"), "label": [0, 0, 1, 1]})
    right, wrong = (rows.assign(fake_prob=p) for p in ([0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1]))
    compared = compare(right, wrong, names=["x", "y"], resamples=20)
    assert compared.table["p_delong"].isna().all() and "p_delong is undefined" in repr(compared)
    assert " – " in repr(compared)
