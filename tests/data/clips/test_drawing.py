"""Tests random draws without large deviations: permutations, weights and groups."""

from collections import Counter

import numpy as np
import pytest

from dfjax.data.clips.drawing import Stratum, compute_weights, draw_weighted, fill


def rng(seed=0):
    return np.random.default_rng(seed)


def test_fill_uses_all_equally_often():
    counts = Counter(fill(3, 11, rng()).tolist())
    assert sorted(counts.values()) == [3, 4, 4]


def test_weighted_draws_come_as_often_as_their_weight_rounded_up_or_down():
    weights = np.array([0.5, 1.0, 2.5, 0.0, 1.0])
    seen = np.zeros(5)
    for seed in range(200):
        drawn = draw_weighted(weights, 12, rng(seed))
        counts = np.bincount(drawn, minlength=5)
        wanted = 12 * weights / weights.sum()
        assert (np.abs(counts - wanted) < 1).all() and len(drawn) == 12
        seen += counts / 200
    np.testing.assert_allclose(seen, wanted, atol=4 * 0.5 / np.sqrt(200))


def test_equal_weights_are_filling():
    counts = Counter(draw_weighted(np.ones(4), 8, rng()).tolist())
    assert counts == dict.fromkeys(range(4), 2)


def test_weights_mix_equal_shares_and_the_loss_over_its_mean():
    losses = np.array([0.2, 0.6, 1.0, -1.0])  # the last has not been seen: it counts as the mean
    np.testing.assert_allclose(compute_weights(losses, 0.5), [2 / 3, 1.0, 4 / 3, 1.0])
    np.testing.assert_allclose(compute_weights(losses, 1.0), [1 / 3, 1.0, 5 / 3, 1.0])
    np.testing.assert_allclose(compute_weights(losses, 0.0), 1.0)


@pytest.mark.parametrize("losses", [[-1.0, -1.0], [0.0, 0.0]])
def test_nothing_known_and_nothing_wrong_are_equal_shares(losses):
    np.testing.assert_array_equal(compute_weights(np.array(losses), 1.0), 1.0)


def test_groups_take_turns_and_all_of_the_largest_come():
    members = np.arange(10)[:, None] * [1, 100]
    stratum = Stratum(members, [np.arange(2), np.arange(2, 5), np.arange(5, 10)])
    assert stratum.length == 15
    taken = stratum.take(15, rng())
    np.testing.assert_array_equal(taken[:, 1], 100 * taken[:, 0])
    groups = np.digitize(taken[:, 0], [2, 5])
    np.testing.assert_array_equal(groups, np.tile(np.arange(3), 5))
    counts = np.bincount(taken[:, 0])
    assert sorted(counts[:2]) == [2, 3] and sorted(counts[2:5]) == [1, 2, 2]
    assert (counts[5:] == 1).all()


def test_weights_stay_inside_their_group():
    stratum = Stratum(
        np.arange(4)[:, None],
        [np.arange(2), np.arange(2, 4)],
        [np.array([0.0, 1.0]), np.array([1.0, 3.0])],
    )
    counts = np.bincount(stratum.take(16, rng())[:, 0])
    assert counts.tolist() == [0, 8, 2, 6]
