"""Conformal verdicts: exact error rates in finite samples."""

import itertools

import numpy as np
import pytest

from dfjax.evaluation.calibration.conformal import Conformal, Rates, count_needed
from dfjax.evaluation.calibration.verdict_shares import _interval, cross_decide

FAKES = -10.0 - np.arange(99) / 1e6


def against_reals(reals, groups=None):
    """Only the reals decide: 99 fakes score below everything, so that no video is unlike them."""
    groups = np.arange(len(reals)) if groups is None else groups
    labels = np.r_[np.zeros(len(reals), int), np.ones(99, int)]
    return Conformal(np.r_[reals, FAKES], labels, np.r_[groups, 1000 + np.arange(99)])


def test_p_values_by_hand():
    p = against_reals(np.array([0.1, 0.2, 0.3, 0.4])).compute_p_values(
        np.array([0.05, 0.2, 0.25, 0.5])
    )
    np.testing.assert_allclose(p.real, [1.0, 4 / 5, 3 / 5, 1 / 5])
    few = Conformal(np.array([0.1, 0.8, 0.9]), np.array([0, 1, 1]), np.arange(3))
    fake = few.compute_p_values(np.array([0.8, 0.5, 1.0])).fake
    np.testing.assert_allclose(fake, [2 / 3, 1 / 3, 1])


@pytest.mark.parametrize(("n", "rate"), [(6, 0.3), (6, 0.1), (9, 0.2), (19, 0.05), (18, 0.05)])
def test_the_false_alarm_rate_is_exact_over_all_orders(n, rate):
    """Each of n + 1 exchangeable videos is the new one equally often."""
    scores = np.random.default_rng(n).permutation(n + 1) / n
    alarms = 0
    for new in range(n + 1):
        conformal = against_reals(np.delete(scores, new))
        alarms += conformal.decide(scores[[new]], Rates(rate, rate)) == ["fake"]
    assert alarms == int(np.floor((n + 1) * rate + 1e-9)) <= (n + 1) * rate + 1e-9


def test_ties_only_lower_the_rate():
    for scores in itertools.product((0.0, 0.5, 1.0), repeat=4):
        values = np.array(scores)
        alarms = sum(
            against_reals(np.delete(values, new)).decide(values[[new]], Rates(0.5, 0.5)) == ["fake"]
            for new in range(4)
        )
        assert alarms <= 2


def test_coverage_over_1000_resamples():
    rng, rate, n, new = np.random.default_rng(0), 0.1, 49, 200
    alarms, misses, undecided = (np.zeros(1000) for _ in range(3))
    for trial in range(1000):
        labels = np.repeat([0, 1], n)
        conformal = Conformal(rng.normal(labels, 1.0), labels, np.arange(2 * n))
        real = np.array(conformal.decide(rng.normal(0.0, 1.0, new), Rates(rate, rate)))
        fake = np.array(conformal.decide(rng.normal(1.0, 1.0, new), Rates(rate, rate)))
        alarms[trial], misses[trial] = (real == "fake").mean(), (fake == "real").mean()
        undecided[trial] = (real == "undecided").mean()
    # Exact: the p-value of a new video is uniform on 1/50 … 1, so 5 of 50 are at most 0.1.
    for found in (alarms, misses):
        assert found.mean() == pytest.approx(rate, abs=3 * found.std() / np.sqrt(1000))
    assert found.std() < 0.06 and 0.4 < undecided.mean() < 0.8


def test_coverage_for_new_groups_of_dependent_videos():
    """Videos of a group are equal; counting them singly would break the guarantee."""
    rng, rate, alarms, singly = np.random.default_rng(1), 0.1, [], []
    for _ in range(1000):
        sizes = rng.permutation(np.r_[np.full(3, 40), np.ones(16, int)])
        groups = np.repeat(np.arange(19), sizes)
        reals = rng.normal(size=19)[groups]
        new = rng.normal(size=50)
        alarms.append(np.mean(np.array(
            against_reals(reals, groups).decide(new, Rates(rate, rate))) == "fake"))  # fmt: skip
        singly.append(np.mean(np.array(
            against_reals(reals).decide(new, Rates(rate, rate))) == "fake"))  # fmt: skip
    assert np.mean(alarms) <= rate + 3 * np.std(alarms) / np.sqrt(1000)
    assert np.mean(alarms) > 0.08
    assert np.mean(singly) > rate + 3 * np.std(singly) / np.sqrt(1000)


def test_verdicts_change_in_the_order_of_scores_and_with_the_rate():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 100)
    conformal = Conformal(rng.normal(labels, 0.7), labels, np.arange(200))
    grid, order = np.linspace(-3, 4, 300), {"real": 0, "undecided": 1, "fake": 2}
    counts = []
    for rate in (0.02, 0.05, 0.1, 0.2):
        codes = [order[v] for v in conformal.decide(grid, Rates(rate, rate))]
        assert codes == sorted(codes)
        counts.append(codes.count(1))
    assert counts == sorted(counts, reverse=True) and counts[0] > 0


def test_above_the_equal_error_rate_the_larger_p_value_decides():
    labels = np.repeat([0, 1], 19)
    scores = np.r_[np.linspace(0, 1, 19), np.linspace(0.9, 1.9, 19)]
    verdicts = Conformal(scores, labels, np.arange(38)).decide(
        np.array([0.93, 0.96]), Rates(0.3, 0.3)
    )
    assert verdicts == ["real", "fake"]


def test_too_few_videos_are_said_and_counted():
    assert [count_needed(rate) for rate in (0.5, 0.1, 0.05, 0.01, 0.001)] == [1, 9, 19, 99, 999]
    few = against_reals(np.linspace(0, 1, 18))
    (sentence,) = few.list_shortages(Rates(0.05, 0.05))
    assert "no video can be called fake" in sentence
    assert "needs 19 groups of real validation videos, and there are 18" in sentence
    assert few.decide(np.array([9.0]), Rates(0.05, 0.05)) == ["undecided"]
    assert against_reals(np.linspace(0, 1, 19)).list_shortages(Rates(0.05, 0.05)) == []


def test_cross_validated_shares_keep_the_limits():
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], 500)
    shares = cross_decide(rng.normal(2 * labels, 1.0), labels, np.arange(1000), [0.05, 0.1])
    for rate in (0.05, 0.1):
        assert shares["real"][rate]["fake"] == pytest.approx(rate, abs=0.03)
        assert shares["fake"][rate]["real"] == pytest.approx(rate, abs=0.03)
        assert sum(shares["real"][rate].values()) == pytest.approx(1)


def test_the_interval_of_no_errors_is_the_rule_of_three():
    low, high = _interval(0, 300)
    assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 300))
    assert _interval(300, 300)[1] == 1
