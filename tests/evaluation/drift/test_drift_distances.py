"""Drift of one property: values by hand, scipy, and rates of false reports."""

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from dfjax.evaluation.drift.distances import (
    compare_properties,
    compute_mixture_distance,
    compute_psi,
    compute_psi_chance,
    describe_power,
    find_least_ks,
    is_judged,
    measure_distance,
)


def test_psi_by_hand():
    reference = np.array([0.0, 1.0, 2.0, 3.0])  # two bins, cut at 2
    p, q = np.array([2.5, 2.5]) / 5, np.array([1.5, 3.5]) / 5
    expected = ((q - p) * np.log(q / p)).sum()
    assert compute_psi(reference, np.array([0, 2, 2, 3.0]), bins=2) == pytest.approx(expected)
    assert compute_psi(reference, reference, bins=2) == 0


def test_psi_of_equal_values():
    fives = np.full(20, 5.0)
    assert compute_psi(fives, np.full(7, 5.0)) < compute_psi(fives, np.full(7, 6.0))
    assert compute_psi(fives, np.full(7, 4.0)) == compute_psi(fives, np.full(7, 6.0)) > 2


def test_psi_of_equal_distributions_is_what_chance_gives():
    rng = np.random.default_rng(0)
    for n, m in ((500, 200), (200, 8), (100, 3)):
        found = [compute_psi(rng.normal(size=n), rng.normal(size=m)) for _ in range(300)]
        assert np.mean(found) == pytest.approx(compute_psi_chance(n, m), rel=0.15)
    assert compute_psi_chance(50_000, 20_000) == pytest.approx(
        9 * (1 / 50_000 + 1 / 20_000), rel=0.01
    )


@pytest.mark.parametrize(("n", "m"), [(200, 4), (200, 8), (60, 20), (1000, 40)])
def test_a_drift_that_is_said_to_be_visible_is_seen(n, m):
    rng, seen = np.random.default_rng(5), 0
    for _ in range(40):
        reference = {"a": rng.random(n)}
        least = compare_properties(reference, {"a": rng.random(m)})["a"].least_ks
        shift = min(1.0, 1.2 * least)  # of the sample's lowest values there are none
        sample = {"a": shift + (1 - shift) * rng.random(m)}
        seen += compare_properties(reference, sample)["a"].drifted
    assert seen >= 36


def test_few_inputs_are_not_judged():
    rng = np.random.default_rng(6)
    reference = {"a": rng.random(200)}
    judged = [is_judged(compare_properties(reference, {"a": rng.random(m)})) for m in (1, 8, 40)]
    assert judged == [False, False, True] and not is_judged({})


def test_ks_equals_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=80), rng.normal(0.4, 1, 50)
    found, theirs = measure_distance(a, b), ks_2samp(a, b)
    assert (found.ks, found.p) == (theirs.statistic, theirs.pvalue)


def test_another_share_of_fakes_is_no_drift_of_the_classes():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 200)
    reference = {"score": rng.normal(3.0 * labels, 1.0)}
    fakes = {"score": rng.normal(3.0, 1.0, 150)}
    assert compare_properties(reference, fakes)["score"].drifted
    assert not compare_properties(reference, fakes, labels)["score"].drifted
    shifted = {"score": rng.normal(6.0, 1.0, 150)}
    assert compare_properties(reference, shifted, labels)["score"].drifted


def test_the_nearest_mixture_is_found():
    labels = np.repeat([0, 1], 100)
    reference = np.r_[np.linspace(0, 1, 100), np.linspace(2, 3, 100)]
    sample = np.r_[np.linspace(0, 1, 30), np.linspace(2, 3, 90)]
    distance, share = compute_mixture_distance(reference, labels, sample)
    assert share == pytest.approx(0.74, abs=0.03) and distance < 0.03


def test_few_reports_without_drift_and_many_with():
    rng, labels = np.random.default_rng(3), np.repeat([0, 1], 100)
    reports = {0.0: 0, 1.5: 0}
    for _ in range(60):
        reference = {name: rng.normal(size=200) for name in "abcd"}
        for shift in reports:
            sample = {name: rng.normal(shift * (name == "a"), 1, 40) for name in "abcd"}
            found = compare_properties(reference, sample, labels)
            reports[shift] += any(one.drifted for one in found.values())
    assert reports[0.0] <= 3 and reports[1.5] >= 58  # 0.6 expected of 60; 4 has p < 0.01


def test_with_few_inputs_nothing_can_be_seen_and_this_is_said():
    rng = np.random.default_rng(4)
    reference = {"a": rng.normal(size=50)}
    found = compare_properties(reference, {"a": np.array([1e9])})
    assert not found["a"].drifted and found["a"].least_ks == math.inf
    assert found["a"].p == pytest.approx(2 / 51)
    assert describe_power(found, 1) == "1 input: too few to see any drift from the calibration set"
    many = compare_properties(reference, {"a": rng.normal(size=500)})
    assert "differs by 24% or more" in describe_power(many, 500)


def test_the_least_distance_has_the_p_value_of_the_level():
    n, m = 400, 60
    least = find_least_ks(n, m)
    assert find_least_ks(n, 6 * m) < least < find_least_ks(n, m // 6) < 1
    sample = np.linspace(0, 1, m)
    for distance, below in ((least + 0.03, True), (least - 0.03, False)):
        moved = measure_distance(np.linspace(0, 1, n), sample + distance)
        assert (moved.p < 0.01) is below


def test_unknown_values_and_absent_properties_are_left_out():
    reference = {"a": np.array([1.0, 2, np.nan, 3]), "b": np.full(4, np.nan), "c": np.ones(4)}
    found = compare_properties(reference, {"a": np.array([np.nan, 2.0]), "b": np.ones(2)})
    assert list(found) == ["a"] and found["a"].n == (3, 1)
