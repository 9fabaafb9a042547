"""DeLong's test against its definition by pairs, and Holm's correction by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from dfjax.evaluation.statistics.significance import correct_holm, delong_covariance, delong_p_value


def by_pairs(scores, labels):
    """The structural components of DeLong et al. 1988, from all pairs."""
    parts = []
    for one in scores:
        fakes, reals = one[labels == 1], one[labels == 0]
        wins = (fakes[:, None] > reals) + 0.5 * (fakes[:, None] == reals)
        parts.append((wins.mean(axis=1), wins.mean(axis=0), wins.mean()))
    tens, ones, aucs = (np.array([part[k] for part in parts]) for k in range(3))
    return aucs, np.cov(tens) / tens.shape[1] + np.cov(ones) / ones.shape[1]


def test_delong_equals_its_definition_with_ties():
    rng = np.random.default_rng(0)
    labels = (np.arange(40) % 3 == 0).astype(int)
    scores = np.round(rng.normal(0.5, 0.2, (3, 40)) + 0.2 * labels, 1)
    aucs, covariance = delong_covariance(scores, labels)
    expected, spread = by_pairs(scores, labels)
    np.testing.assert_allclose(aucs, expected, atol=1e-12)
    np.testing.assert_allclose(covariance, spread, atol=1e-12)
    z = (expected[0] - expected[1]) / np.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])
    assert delong_p_value(scores[:2], labels) == pytest.approx(2 * norm.sf(abs(z)), abs=1e-12)


def test_delong_of_equal_detectors_and_of_too_few_videos():
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.1, 0.2, 0.3, 0.15], [0.2, 0.4, 0.6, 0.3]])
    assert delong_p_value(scores, labels) == 1.0
    assert np.isnan(delong_p_value(scores[:, 1:], labels[1:]))
    # 1 against 0 for every pair: the difference has no variance, which is no proof of anything.
    assert np.isnan(delong_p_value(np.array([[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1]]), labels))


def test_holm_by_hand():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    # sorted 0.005*4, 0.01*3, 0.03*2, then 0.04*1 is raised to the one before
    np.testing.assert_allclose(correct_holm(p), [0.03, 0.06, np.nan, 0.06, 0.02])
    assert correct_holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]
