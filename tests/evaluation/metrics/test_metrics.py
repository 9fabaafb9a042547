"""`compute` on tables: grouping, units, variants, intervals; values by hand and by scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from dfjax.evaluation import metrics
from dfjax.evaluation.videos.aggregation import aggregate


def predictions(rows, unit="clip"):
    """Rows of (dataset, video_id, position, label, fake_prob)."""
    table = pd.DataFrame(rows, columns=["dataset", "video_id", "position", "label", "fake_prob"])
    method = np.where(table["label"] == 1, "DF", "real")
    return table.assign(unit=unit, face=0, method=method, split="test")


def random_table(seed, videos=60, rows=4):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(0, 2, videos - 2)]
    return predictions(
        [
            ("d", f"{v:03d}", r, labels[v], np.clip(rng.normal(0.4 + 0.2 * labels[v], 0.3), 0, 1))
            for v in range(videos)
            for r in range(rows)
        ]
    )


@pytest.mark.parametrize("seed", range(5))
def test_video_metrics_equal_sklearn_on_mean_scores(seed):
    table = random_table(seed)
    got = metrics.compute(table, resamples=0)
    videos = table.groupby("video_id").agg(label=("label", "first"), p=("fake_prob", "mean"))
    called = videos["p"] >= 0.5
    assert got["video_auc"] == pytest.approx(sk.roc_auc_score(videos.label, videos.p), abs=1e-9)
    assert got["clip_auc"] == pytest.approx(
        sk.roc_auc_score(table.label, table.fake_prob), abs=1e-9
    )
    assert got["f1"] == pytest.approx(sk.f1_score(videos.label, called), abs=1e-9)
    ap = sk.average_precision_score(videos.label, videos.p)
    real_ap = sk.average_precision_score(1 - videos.label, -videos.p)
    assert got["map_ovr"] == pytest.approx((ap + real_ap) / 2, abs=1e-9)
    assert got["frame_auc"] is None


def test_no_metric_depends_on_the_order_of_rows():
    table = random_table(0)
    shuffled = table.sample(frac=1, random_state=1)
    assert metrics.compute(table, resamples=50) == metrics.compute(shuffled, resamples=50)


def test_same_folder_name_in_two_datasets_is_two_videos():
    rows = [("a", "000_003", 0, 1, 0.2), ("b", "000_003", 0, 1, 0.9), ("a", "000", 0, 0, 0.5)]
    assert metrics.compute(predictions(rows), resamples=0)["video_auc"] == 0.5


def test_variants_by_hand():
    rows = [("d", "f", 0, 1, 0.1), ("d", "f", 1, 1, 0.2), ("d", "f", 2, 1, 0.9)]
    rows += [("d", "r", 0, 0, 0.5), ("d", "r", 1, 0, 0.5)]
    got = metrics.compute(predictions(rows), resamples=0)
    assert got["video_auc"] == 0.0  # 0.4 against 0.5
    assert got["video_auc_max"] == 1.0  # 0.9 against 0.5
    assert got["video_auc_median"] == 0.0  # 0.2 against 0.5


def test_face_max_takes_the_most_suspicious_face_of_each_frame():
    table = predictions([("d", "v", 0, 1, 0.2), ("d", "v", 0, 1, 0.8), ("d", "v", 1, 1, 0.4)])
    table["face"] = [0, 1, 0]
    assert aggregate(table, "face_max")["fake_prob"][0] == pytest.approx((0.8 + 0.4) / 2)


def test_confident_minority_decides():
    fakes = [("d", "v", i, 1, 0.9) for i in range(12)]
    others = [("d", "v", 12 + i, 1, 0.5) for i in range(12)]
    assert aggregate(predictions(fakes + others), "confident")["fake_prob"][0] == pytest.approx(0.9)
    fewer = predictions(fakes[:11] + others)
    assert aggregate(fewer, "confident")["fake_prob"][0] < 0.9


def test_the_score_of_a_video_is_used_before_those_of_its_frames():
    frames = predictions([("d", "v", 0, 1, 0.1), ("d", "v", 1, 1, 0.1)], unit="frame")
    video = predictions([("d", "v", 0, 1, 0.8)], unit="video")
    both = pd.concat([frames, video])
    assert aggregate(both)["fake_prob"].tolist() == [0.8]


def test_not_finite_and_repeated_rows_do_not_count():
    table = random_table(1)
    dirty = pd.concat([table, table.iloc[:5].assign(fake_prob=0.0), table.iloc[[0]]])
    nan = table.iloc[[0]].assign(fake_prob=np.nan, position=99)
    assert metrics.compute(pd.concat([nan, dirty])) == metrics.compute(table)


def test_one_class_and_empty_tables_give_null_never_raise():
    table = random_table(2)
    one = metrics.compute(table[table.label == 1])
    assert one["video_auc"] is None and one["video_auc_ci"] is None and one["eer"] is None
    assert one["accuracy"] is not None
    empty = metrics.compute(table[:0])
    assert empty["video_auc"] is None and set(empty) == {k for k in one if not k.endswith("_ci")}


def test_intervals_are_seeded_ordered_and_shrink_with_more_videos():
    small, large = random_table(3, videos=40), random_table(3, videos=640)
    first = metrics.compute(small)
    assert first == metrics.compute(small)
    assert first["video_auc_ci"] != metrics.compute(small, seed=1)["video_auc_ci"]
    low, high = first["video_auc_ci"]
    assert low <= first["video_auc"] <= high
    narrow = metrics.compute(large)["video_auc_ci"]
    assert 2.5 < (high - low) / (narrow[1] - narrow[0]) < 6.5  # about sqrt(16)


def test_interval_covers_like_hanley_and_mcneil():
    """Bootstrap width of AUC against the closed form of Hanley & McNeil 1982."""
    rng = np.random.default_rng(0)
    n = 200
    labels = np.repeat([0, 1], n)
    scores = 1 / (1 + np.exp(-rng.exponential(1 + 2 * labels)))
    table = predictions([("d", str(i), 0, labels[i], scores[i]) for i in range(2 * n)])
    got = metrics.compute(table)
    auc, (low, high) = got["video_auc"], got["video_auc_ci"]
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n - 1) * (q1 + q2 - 2 * auc**2)) / n**2
    assert (high - low) / (2 * 1.96 * np.sqrt(variance)) == pytest.approx(1.0, abs=0.15)


def test_macro_is_the_plain_mean_and_null_where_one_is_null():
    tables = [{"ap": 0.5, "eer": 0.1, "ap_ci": [0, 1]}, {"ap": 1.0, "eer": None, "ap_ci": [0, 1]}]
    assert metrics.macro_mean(tables) == {"ap": 0.75, "eer": None}
