"""The curve of AUCs over levels and the area under it."""

import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation.metrics.robustness import compute_area, measure_curve, tabulate_curves


def make_table(noise, n=120):
    rng = np.random.default_rng(int(10 * noise))
    labels = np.arange(n) % 2
    scores = labels + rng.normal(0, 0.3, n) + noise * rng.normal(0, 1, n)
    ids = [f"v{k:03d}" for k in range(n)]
    table = pd.DataFrame({"video_id": ids, "label": labels, "fake_prob": 1 / (1 + np.exp(-scores))})
    return table.assign(dataset="d", unit="video", position=0, face=0, method="m", split="test")


INDEX = pd.DataFrame({"video_id": [f"v{k:03d}" for k in range(120)]})


def test_area_by_hand():
    assert compute_area([1.0, 0.8, 0.6]) == pytest.approx((0.9 + 0.7) / 2)
    assert compute_area(np.full((6, 4), 0.7)).tolist() == [0.7] * 4


def test_a_curve_falls_and_its_intervals_hold_the_values():
    curve = measure_curve([make_table(noise) for noise in (0, 0.5, 1, 3)], INDEX, resamples=200)
    aucs = curve["video_auc"]
    assert aucs == sorted(aucs, reverse=True) and curve["videos"] == 120
    assert curve["area"] == pytest.approx(compute_area(aucs))
    for value, (low, high) in zip(aucs, curve["video_auc_ci"]):
        assert low <= value <= high
    assert curve["area_ci"][0] < curve["area"] < curve["area_ci"][1]
    low, high = curve["loss_ci"]
    assert 0 < low < aucs[0] - curve["area"] < high


def test_without_an_effect_the_loss_is_none():
    same = [make_table(0.5)] * 6
    curve = measure_curve(same, INDEX, resamples=50)
    assert curve["loss_ci"] == pytest.approx([0, 0], abs=1e-12)
    assert curve["area"] == pytest.approx(curve["video_auc"][0])
    assert curve["area_ci"] == pytest.approx(curve["video_auc_ci"][0])


def test_other_videos_at_a_level_are_a_bug():
    with pytest.raises(AssertionError, match="videos differ"):
        measure_curve([make_table(0), make_table(0).iloc[:-1]], INDEX, resamples=10)


def test_the_table_has_a_row_per_level():
    curve = measure_curve([make_table(noise) for noise in (0, 1)], INDEX, resamples=20)
    table = tabulate_curves({"blur": {**curve, "values": [2.0]}})
    assert table["level"].tolist() == [0, 1] and np.isnan(table["value"][0])
    assert table["video_auc"].tolist() == curve["video_auc"]
