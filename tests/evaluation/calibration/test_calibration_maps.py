"""Calibration maps: values by hand, scikit-learn, and the choice among them."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from dfjax.errors import UsageError
from dfjax.evaluation.calibration.choice import (
    choose_map,
    compute_mean_interval,
    measure_reliability,
)
from dfjax.evaluation.calibration.maps import (
    FITS,
    CalibrationMap,
    compute_log_losses,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    smooth_targets,
)


def draw(n=400, slope=1.0, offset=0.0, seed=0):
    """Logits z with P(fake) = sigmoid(slope z + offset)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, n)
    labels = (rng.random(n) < expit(slope * logits + offset)).astype(np.int64)
    return expit(logits), labels


def test_temperature_and_platt_find_what_the_scores_were_made_with():
    probs, labels = draw(40_000, slope=0.5)
    assert fit_temperature(probs, labels).x[0] == pytest.approx(2.0, rel=0.04)
    probs, labels = draw(40_000, slope=0.5, offset=1.0)
    platt = fit_platt(probs, labels)
    np.testing.assert_allclose((platt.x[0], platt.y[0]), (0.5, 1.0), atol=0.04)


def test_platt_equals_logistic_regression_on_smoothed_targets():
    probs, labels = draw(offset=0.7)
    # Every video once as a fake and once as a real, weighted by its target.
    targets, z = smooth_targets(labels), logit(probs)[:, None]
    both = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
        np.r_[z, z], np.r_[np.ones(len(z)), np.zeros(len(z))], np.r_[targets, 1 - targets]
    )
    found = fit_platt(probs, labels)
    np.testing.assert_allclose(found.x[0], both.coef_[0, 0], atol=1e-5)
    np.testing.assert_allclose(found.y[0], both.intercept_[0], atol=1e-5)
    np.testing.assert_allclose(found(probs), both.predict_proba(z)[:, 1], atol=1e-5)


def test_isotonic_equals_scikit_learn_and_stays_off_0_and_1():
    probs, labels = draw(seed=3)
    found = fit_isotonic(probs, labels)
    theirs = IsotonicRegression(y_min=1 / 402, y_max=1 - 1 / 402).fit(probs, labels)
    grid = np.linspace(probs.min(), probs.max(), 999)
    np.testing.assert_allclose(found(grid), theirs.predict(grid), atol=1e-12)
    assert found(np.array([0.0, 1.0])).tolist() == [found.y[0], found.y[-1]]
    assert 1 / 402 <= found.y[0] and found.y[-1] <= 1 - 1 / 402


@pytest.mark.parametrize("kind", FITS)
@pytest.mark.parametrize("data", ["usual", "separated", "inverted", "constant"])
def test_every_map_ascends_and_stays_in_range(kind, data):
    probs, labels = draw(60)
    if data == "separated":
        labels = (probs > 0.5).astype(np.int64)
    elif data == "inverted":
        labels = (probs < 0.5).astype(np.int64)
    elif data == "constant":
        probs = np.full(60, 0.3)
    mapped = FITS[kind](probs, labels)(np.r_[0.0, np.linspace(0.001, 0.999, 50), 1.0])
    assert np.isfinite(mapped).all() and (np.diff(mapped) >= 0).all()
    assert 0 <= mapped[0] and mapped[-1] <= 1


def test_temperature_keeps_one_half():
    assert CalibrationMap("temperature", (3.0,))(np.array([0.5]))[0] == 0.5
    halved = CalibrationMap("temperature", (2.0,))(np.array([0.9]))[0]
    assert halved == pytest.approx(expit(logit(0.9) / 2))


def test_smoothed_targets_by_hand():
    np.testing.assert_allclose(smooth_targets(np.array([1, 1, 0])), [3 / 4, 3 / 4, 1 / 3])


def test_reliability_by_hand():
    probs, labels = np.array([0.1, 0.1, 0.9, 1.0]), np.array([0, 1, 1, 1])
    found = measure_reliability(probs, labels, bins=2)
    assert found["bins"] == [
        {"n": 2, "mean": 0.1, "share": 0.5},
        {"n": 2, "mean": 0.95, "share": 1.0},
    ]
    assert found["ece"] == pytest.approx(0.5 * 0.4 + 0.5 * 0.05)
    assert found["brier"] == pytest.approx((0.01 + 0.81 + 0.01) / 4)
    losses = compute_log_losses(probs, labels)
    np.testing.assert_allclose(losses, -np.log([0.9, 0.1, 0.9, 1.0]), atol=1e-15)


def test_the_choice_is_of_the_lowest_loss_without_the_fold_of_a_video():
    probs, labels = draw(300, slope=0.4, offset=1.0)
    choice = choose_map(probs, labels, np.arange(300))
    rows = {row["kind"]: row for row in choice.rows}
    assert choice.map.kind == min(rows, key=lambda kind: rows[kind]["log_loss"]) == "platt"
    assert rows["platt"]["change_ci"][1] < 0 and rows["none"]["change_ci"] == [0.0, 0.0]
    low, high = rows["platt"]["log_loss_ci"]
    assert low < compute_log_losses(choice.held_out, labels).mean() < high
    assert not np.allclose(choice.held_out, choice.map(probs), atol=1e-6)


def test_the_videos_of_a_group_are_in_one_fold():
    # Two groups of equal scores and opposite labels: without leakage nothing can be learned.
    probs, labels = np.tile([0.2, 0.8], 20), np.repeat([0, 1, 0, 1], 10)
    groups = np.repeat(np.arange(4), 10)
    choice = choose_map(probs, labels, groups, kind="isotonic")
    for group in range(4):
        chosen = choice.held_out[groups == group]
        assert len(np.unique(chosen[::2])) == 1 and len(np.unique(chosen[1::2])) == 1


def test_intervals_of_clusters_are_those_of_their_means():
    values = np.repeat(np.random.default_rng(0).normal(size=50), 4)
    alone = compute_mean_interval(values[::4], np.arange(50))
    np.testing.assert_allclose(compute_mean_interval(values, np.repeat(np.arange(50), 4)), alone)


def test_too_few_videos_and_unknown_kinds_are_refused():
    probs, labels = draw(30)
    with pytest.raises(UsageError, match="at least 10 videos of each class"):
        choose_map(probs[:12], np.r_[np.zeros(9), np.ones(3)].astype(int), np.arange(12))
    with pytest.raises(UsageError, match="3 groups or more"):
        choose_map(probs, labels, np.arange(30) % 2)
    with pytest.raises(UsageError, match="Did you mean 'platt'"):
        choose_map(probs, labels, np.arange(30), kind="plat")
