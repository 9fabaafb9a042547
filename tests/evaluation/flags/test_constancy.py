"""Tests that constant detectors are recognised, and that weak or uncertain ones are not."""

import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation.flags.constancy import describe_constant

HALF = np.arange(100) % 2
WIDE = np.linspace(0.05, 0.45, 100)


def describe(scores, labels=HALF):
    return describe_constant(pd.DataFrame({"label": labels, "fake_prob": scores}))


def test_scores_without_spread():
    assert "between 0.5000 and 0.5001" in describe(0.5 + 1e-4 * HALF)
    assert describe(0.48 + 0.04 * HALF) == ""


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (0.5 + WIDE, "no video is classified as real, although 50 are real"),
        (WIDE, "no video is classified as fake, although 50 are fake"),
        (np.r_[WIDE[:4], 0.5 + WIDE[4:]], "only 4 of 100 videos are classified as real"),
    ],
)
def test_verdicts_that_are_all_or_nearly_all_the_same(scores, message):
    assert message in describe(scores)


def test_a_verdict_is_rare_only_beside_the_number_of_its_videos():
    assert describe(np.r_[WIDE[:5], 0.5 + WIDE[5:]]) == ""  # a tenth of the 50 reals
    rare = (np.arange(100) < 4).astype(int)
    assert describe(np.where(np.arange(100) == 0, 0.9, WIDE), rare) == ""  # one of 4 fakes is found


def test_one_class_says_nothing_of_a_detector():
    assert describe(np.full(100, 0.9), np.ones(100, int)) == ""
