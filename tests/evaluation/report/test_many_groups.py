"""Tables with thousands of manipulations are measured in seconds, and what is left out is said."""

import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation.metrics import video_metrics
from dfjax.evaluation.report.metrics_json import make_metrics
from dfjax.evaluation.report.rows import list_rows
from dfjax.evaluation.videos import cuts
from dfjax.evaluation.videos.cuts import OVERALL, cut_tables


def table(methods, videos):
    """Fakes of method k, which has k mod 7 + 1 videos in every round, and as many reals."""
    rng = np.random.default_rng(0)
    names = [f"m{k:05d}" for k in range(methods) for _ in range(k % 7 + 1)][:videos]
    label = np.repeat([1, 0], len(names))
    return pd.DataFrame(
        {
            "dataset": "d", "video_id": [f"v{n}" for n in range(len(label))], "unit": "video",
            "position": 0, "face": 0, "label": label, "method": names + ["real"] * len(names),
            "logit": 0.0, "fake_prob": rng.random(len(label)), "split": "test",
        }
    )  # fmt: skip


def test_few_groups_are_in_order_and_have_intervals():
    result = make_metrics(table(20, 100), resamples=50)
    assert list(result["by_method"]) == [f"m{k:05d}" for k in range(20)]
    assert all("video_auc_ci" in m for m in result["by_method"].values())
    assert "many_groups" not in {flag["code"] for flag in result["flags"]}


def test_many_groups_have_no_intervals_and_the_largest_are_shown(monkeypatch):
    monkeypatch.setattr(cuts, "MEASURED", 150)
    predictions = table(400, 2000)
    result = make_metrics(predictions, resamples=50)
    assert "video_auc_ci" in result["overall"]
    assert not any("video_auc_ci" in m for m in result["by_method"].values())
    counts = predictions[predictions["label"] == 1]["method"].value_counts()
    shown = [counts[name] for name in result["by_method"]]
    assert shown == sorted(counts, reverse=True)[:150]
    rows = list_rows(result)
    assert len(rows) == 1 + cuts.SHOWN + 1 and rows[-1][0] == "macro"
    (flag,) = [flag for flag in result["flags"] if flag["code"] == "many_groups"]
    assert flag["severity"] == "info" and "401 data sets and manipulations" in flag["message"]
    assert "at most 150 of each kind" in flag["message"]


def test_the_bootstrap_is_limited_to_all_videos(monkeypatch):
    """With 5,000 manipulations it took minutes; a table counts its calls here."""
    calls = []
    real = video_metrics.draw_statistics

    def count(tables, *arguments, **options):
        calls.append(len(tables.weigh()))
        return real(tables, *arguments, **options)

    monkeypatch.setattr(video_metrics, "draw_statistics", count)
    make_metrics(table(400, 2000), resamples=2)
    assert calls == [1]


@pytest.mark.parametrize(("videos", "most"), [(10, 1000), (40_000, 500), (10**7, 100)])
def test_the_number_of_tables_is_limited_by_their_size(videos, most):
    assert cuts.count_measured(videos) == most


def test_masks_are_those_of_comparing_names():
    predictions = table(30, 90).assign(dataset=lambda t: np.where(t.index % 2, "a", "b"))
    predictions.loc[0, "fake_prob"] = np.nan
    videos = predictions.iloc[1:]
    found = cut_tables(predictions, videos, ["m00003"])
    held = (videos["method"] == "m00003").to_numpy()
    assert np.array_equal(found[OVERALL], ~held)
    for (section, name), mask in found.items():
        if section in ("by_method", "unseen_methods"):
            source, _, method = name.rpartition("/")
            mine = (videos["label"] == 0) | (videos["method"] == method)
            if source:
                assert np.array_equal(mask, (videos["dataset"] == source) & mine)
            assert (section == "unseen_methods") == (method == "m00003")
