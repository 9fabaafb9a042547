"""Tests the content of metrics.json, in which `overall` leaves out unseen manipulations."""

import json

import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation import metrics
from dfjax.evaluation.report.metrics_json import Context, make_metrics
from dfjax.evaluation.videos.aggregation import score_videos
from dfjax.evaluation.videos.cuts import cut_tables
from dfjax.files import finite


def table(dataset, method, scores):
    n = len(scores)
    return pd.DataFrame(
        {
            "dataset": dataset, "video_id": [f"{dataset}/{method}/{i}" for i in range(n)],
            "unit": "clip", "position": 0, "face": 0, "label": int(method != "real"),
            "method": method, "fake_prob": scores, "split": "test",
        }
    )  # fmt: skip


ROWS = pd.concat(
    [
        table("a", "real", [0.1, 0.3]),
        table("a", "DF", [0.2, 0.9]),
        table("a", "FS", [0.8, 0.9]),
        table("a", "NT", [0.05, 0.05]),
        table("b", "real", [0.85]),
        table("b", "DF", [0.9]),
    ],
    ignore_index=True,
)


def result(**context):
    return make_metrics(ROWS, Context(**context), resamples=20)


def test_each_manipulation_is_measured_against_the_reals_of_its_data_set():
    got = result()
    assert set(got["by_method"]) == {"a/DF", "b/DF", "FS", "NT"}
    assert got["by_method"]["a/DF"]["video_auc"] == 0.75  # 0.2 and 0.9 against 0.1 and 0.3
    assert got["by_method"]["b/DF"]["video_auc"] == 1.0
    assert got["by_method"]["NT"]["video_auc"] == 0.0


def test_manipulations_held_back_are_reported_apart():
    got = result(heldout_methods=("NT",))
    assert set(got["unseen_methods"]) == {"NT"} and "NT" not in got["by_method"]
    assert got["unseen_methods"]["NT"]["video_auc"] == 0.0
    rest = metrics.compute(ROWS[ROWS["method"] != "NT"], resamples=0)
    assert {name: got["overall"][name] for name in rest} == rest
    assert got["by_dataset"]["a"]["video_auc"] > result()["by_dataset"]["a"]["video_auc"]
    assert "NT" in got["protocol"]


def test_macro_is_the_mean_over_manipulations():
    got = result(heldout_methods=("NT",))
    aucs = [m["video_auc"] for m in got["by_method"].values()]
    assert got["macro"]["video_auc"] == pytest.approx(np.mean(aucs))


def test_counts_and_names():
    got = result(checkpoint="best/3", unreadable=2)
    assert got["n"] == {
        "videos": 10, "clips": 10, "frames": 0, "real": 3, "fake": 7, "unreadable": 2,
    }  # fmt: skip
    assert got["split"] == "test" and got["checkpoint"] == "best/3"
    assert set(got) == {
        "overall", "by_dataset", "by_method", "macro", "unseen_methods", "flags", "n",
        "frames_per_video", "protocol", "resampled", "clusters", "split", "checkpoint",
        "generated", "macro_datasets", "recall_at_fpr", "heldout_methods",
    }  # fmt: skip
    assert json.loads(json.dumps(finite(got), allow_nan=False)) == got


def test_overall_is_what_compute_gives():
    assert result()["overall"] == metrics.compute(ROWS, resamples=20)


def test_a_real_video_is_never_held_back():
    cuts = cut_tables(ROWS, score_videos(ROWS).videos, ["real"])
    assert cuts["overall", ""].all() and not [key for key in cuts if key[0] == "unseen_methods"]


def test_a_manipulation_without_any_score_is_not_left_out():
    rows = ROWS.assign(fake_prob=ROWS["fake_prob"].where(ROWS["method"] != "FS"))
    got = make_metrics(rows, resamples=5)["by_method"]
    assert set(got) == set(result()["by_method"]) and got["FS"]["video_auc"] is None


def test_errors_come_first_and_only_evaluated_videos_are_checked_for_leaks():
    index = pd.DataFrame(
        {"video_id": [*ROWS["video_id"], "elsewhere"], "label": [*ROWS["label"], 0]}
    )
    index = index.assign(group=index["video_id"], origin_id=None)
    index["identities"] = [[v] for v in index["video_id"]]
    train = index[index["video_id"].isin(["elsewhere", "a/DF/0"])]
    note = {"code": "no_position", "severity": "warning", "message": "", "ids": []}
    found = result(index=index, train_index=train, flags=[note])["flags"]
    assert [f["severity"] for f in found] == ["error", "error", "warning"]
    assert all(f["ids"] == ["a/DF/0"] for f in found[:2])


def test_frames_per_video_of_the_evaluated_videos():
    index = ROWS[["video_id", "label"]].assign(n_frames=10.0, frame_indices=None)
    index.loc[index["label"] == 1, "n_frames"] = 25.0
    other = index.assign(video_id="elsewhere", n_frames=1000.0)
    block = result(index=pd.concat([index, other], ignore_index=True))["frames_per_video"]
    assert block["real"] == {"n": 3, "mean": 10.0, "sd": 0.0}
    assert block["fake"]["n"] == 7 and block["ratio"] == 2.5
    assert result()["frames_per_video"] is None
