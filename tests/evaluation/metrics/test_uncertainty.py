"""Tests entropy, spread and mutual information by hand, risk-coverage curves, error ranking."""

import math

import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation.figures.uncertainty_plot import plot_uncertainty
from dfjax.evaluation.metrics.uncertainty import (
    aggregate_uncertainty,
    binary_entropy,
    compute_uncertainty,
    error_auc,
    risk_coverage,
    risk_coverage_area,
    summarise_draws,
    tabulate_risk,
)
from dfjax.evaluation.report.metrics_json import make_metrics

LN2 = math.log(2)


def test_entropy_by_hand_and_at_its_limits():
    quarter = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    np.testing.assert_allclose(
        binary_entropy(np.array([0.0, 0.25, 0.5, 1.0])), [0, quarter, LN2, 0], atol=1e-15
    )


def test_two_draws_by_hand():
    found = summarise_draws(np.array([[0.2], [0.8]]))
    fifth = 0.2 * math.log(5) + 0.8 * math.log(1.25)
    expected = {
        "fake_prob": 0.5, "fake_prob_sd": 0.3, "entropy": LN2, "mutual_information": LN2 - fifth,
    }  # fmt: skip
    assert {k: float(v[0]) for k, v in found.items()} == pytest.approx(expected, abs=1e-12)


def test_draws_that_agree_know_nothing_of_each_other_and_certain_ones_that_differ_everything():
    agree = summarise_draws(np.full((7, 1), 0.3))
    assert agree["mutual_information"][0] == pytest.approx(0, abs=1e-12)
    assert agree["fake_prob_sd"][0] == pytest.approx(0, abs=1e-12)
    assert agree["entropy"][0] == pytest.approx(float(binary_entropy(np.array([0.3]))[0]))
    differ = summarise_draws(np.array([[0.0], [1.0]]))
    assert differ["mutual_information"][0] == pytest.approx(LN2)


def test_mutual_information_is_within_entropy_and_never_negative():
    found = summarise_draws(np.random.default_rng(0).random((5, 200)))
    assert (found["mutual_information"] >= 0).all()
    assert (found["mutual_information"] <= found["entropy"]).all()


def test_risk_and_coverage_by_hand():
    wrong = np.array([False, True, False, True])
    coverage, risk = risk_coverage(np.array([0.1, 0.4, 0.2, 0.3]), wrong)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 2])
    assert risk_coverage_area(np.array([0.1, 0.4, 0.2, 0.3]), wrong) == pytest.approx(5 / 24)


def test_ties_have_the_mean_risk_of_all_orders_whatever_the_order_of_rows():
    wrong = np.array([True, False, False, True])
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        _, risk = risk_coverage(np.full(4, 0.5), wrong[order])
        np.testing.assert_allclose(risk, 0.5)  # no order: the error rate throughout
    _, risk = risk_coverage(np.array([0.2, 0.1, 0.2, 0.2]), wrong)
    np.testing.assert_allclose(risk, [0, (2 / 3) / 2, (4 / 3) / 3, 1 / 2])


def test_errors_are_found_where_they_are_less_sure():
    wrong = np.array([False, False, True, True])
    assert error_auc(np.array([0.1, 0.2, 0.3, 0.4]), wrong) == 1.0
    assert error_auc(np.array([0.4, 0.3, 0.2, 0.1]), wrong) == 0.0
    assert error_auc(np.full(4, 0.1), wrong) == 0.5
    assert math.isnan(error_auc(np.full(4, 0.1), np.zeros(4, bool)))


@pytest.fixture
def table():
    """Four videos, the last of two clips; the wrong ones (b, d) have the wider draws."""
    draws = np.array([[0.1, 0.5, 0.9, 0.2, 0.3], [0.1, 0.9, 0.9, 0.4, 0.5]])
    return pd.DataFrame(
        {
            "dataset": "set", "video_id": ["a", "b", "c", "d", "d"], "unit": "clip",
            "position": [0, 0, 0, 0, 10], "face": 0, "label": [0, 0, 1, 1, 1],
            "method": ["real", "real", "swap", "swap", "swap"], "logit": 0.0, "split": "test",
            **summarise_draws(draws),
        }
    )  # fmt: skip


def test_a_video_is_the_mean_of_its_clips(table):
    videos = aggregate_uncertainty(table).set_index("video_id")
    assert videos.loc["d", "fake_prob"] == pytest.approx(0.35)
    assert videos.loc["d", "fake_prob_sd"] == pytest.approx(0.1)
    assert videos.loc["c", "doubt"] == pytest.approx(0.1)


def test_the_block_of_metrics_json(table, tmp_path):
    block = compute_uncertainty(table)
    assert block["videos"] == 4 and block["error_rate"] == 0.5
    assert block["risk_coverage_best"] == pytest.approx((1 / 3 + 1 / 2) / 4)
    spread = block["fake_prob_sd"]
    assert spread["error_auc"] == 1.0
    assert spread["risk_coverage_area"] == pytest.approx(block["risk_coverage_best"])
    assert (spread["mean_right"], spread["mean_wrong"]) == pytest.approx((0.0, 0.15))
    assert make_metrics(table, resamples=0)["uncertainty"] == block
    plot_uncertainty(table, tmp_path / "u.png", title="set")
    curves = tabulate_risk(aggregate_uncertainty(table))
    assert curves["coverage"].iloc[-1] == 1 and (np.diff(curves["coverage"]) > 0).all()
    for name in ("mutual_information", "doubt"):
        area = block[name]["risk_coverage_area"]
        assert curves[f"risk_by_{name}"].mean() == pytest.approx(area)
        assert curves[f"risk_by_{name}"].iloc[-1] == pytest.approx(block["error_rate"])
    assert (tmp_path / "u.png").stat().st_size > 10_000


def test_without_draws_there_is_no_block_and_without_errors_no_ranking_of_them(table, tmp_path):
    assert compute_uncertainty(table.drop(columns="entropy")) is None
    assert "uncertainty" not in make_metrics(table.drop(columns="entropy"), resamples=0)
    right = table[table["video_id"].isin(["a", "c"])]
    block = compute_uncertainty(right)
    assert block["error_rate"] == 0.0 and block["entropy"]["error_auc"] is None
    assert block["entropy"]["mean_wrong"] is None
    plot_uncertainty(right, tmp_path / "u.png")
