"""Tests the accuracy of the method head per video, without methods that the head does not have."""

import pandas as pd

from dfjax.evaluation.metrics.method_guesses import PREFIX, measure_methods

ROWS = [  # video, method, label, probabilities of DF, FS, real
    ("a", "youtube", 0, 0.1, 0.1, 0.8),
    ("b", "DF", 1, 0.5, 0.4, 0.1),
    ("b", "DF", 1, 0.0, 0.9, 0.1),  # its mean says FS
    ("c", "FS", 1, 0.2, 0.6, 0.2),
    ("d", "NT", 1, 0.0, 0.0, 1.0),
]


def table():
    names = [f"{PREFIX}{name}" for name in ("DF", "FS", "real")]
    rows = pd.DataFrame(ROWS, columns=["video_id", "method", "label", *names])
    rows["position"] = range(len(rows))
    return rows.assign(dataset="s", unit="clip", face=0, fake_prob=0.5, logit=0.0, split="test")


def test_by_hand():
    assert measure_methods(table()) == {
        "accuracy": 2 / 3,
        "n": 3,
        "confusion": {"DF": {"FS": 1}, "FS": {"FS": 1}, "real": {"real": 1}},
    }


def test_only_where_there_are_probabilities():
    assert measure_methods(table().iloc[:, :3]) is None
