"""Every statistic equals scikit-learn's, unweighted and weighted, with ties and without."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn import metrics as sk

from dfjax.evaluation.statistics import weighted as st


def table(seed, n=101, ties=False):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < rng.uniform(0.2, 0.8)).astype(int)
    scores = np.clip(rng.normal(0.45 + 0.15 * labels, 0.2), 0, 1)
    return (np.round(scores, 1) if ties else scores), labels


def curve(scores, labels):
    return st.RocSteps(st.split_classes(scores, labels))


def figures(scores, labels, weights=None):
    return st.compute_statistics(st.split_classes(scores, labels, weights))


def first(scores, labels):
    return {name: values[0] for name, values in figures(scores, labels).items()}


CASES = [(seed, ties) for seed in range(6) for ties in (False, True)]


@pytest.mark.parametrize(("seed", "ties"), CASES)
def test_ranking_equals_sklearn(seed, ties):
    scores, labels = table(seed, ties=ties)
    r = curve(scores, labels)
    assert st.auc(r)[0] == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-9)
    ap = sk.average_precision_score(labels, scores)
    assert st.average_precision(r)[0] == pytest.approx(ap, abs=1e-9)
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    eer = brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1, xtol=1e-14)
    corners = sk.roc_curve(labels, scores)[:2]
    nearest = corners[0][np.argmin(np.abs(1 - corners[1] - corners[0]))]
    assert st.eer_nearest(st.split_classes(scores, labels))[0] == pytest.approx(nearest, abs=1e-12)
    assert st.tpr_at_fpr(r, 0.1)[0] == pytest.approx(tpr[fpr <= 0.1].max(), abs=1e-9)
    # A vertical piece of the curve may cross 1 - x anywhere: there brentq cannot choose either.
    assert st.eer(r)[0] == pytest.approx(eer, abs=1e-9)


@pytest.mark.parametrize(("seed", "ties"), CASES)
def test_thresholded_and_proper_scores_equal_sklearn(seed, ties):
    scores, labels = table(seed, ties=ties)
    called = scores >= 0.5
    found = first(scores, labels)
    expected = {
        "accuracy": sk.accuracy_score(labels, called),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "precision": sk.precision_score(labels, called),
        "recall": sk.recall_score(labels, called),
        "f1": sk.f1_score(labels, called),
        "macro_f1": sk.f1_score(labels, called, average="macro"),
        "log_loss": sk.log_loss(labels, scores),
        "brier": sk.brier_score_loss(labels, scores),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_weights_equal_sklearns_sample_weight_and_repeated_rows():
    scores, labels = table(7, ties=True)
    counts = np.random.default_rng(0).integers(0, 4, (3, len(scores)))
    got = figures(scores, labels, counts.astype(float))
    for i, count in enumerate(counts):
        repeated = np.repeat(scores, count), np.repeat(labels, count)
        alone = first(*repeated)
        for name, values in got.items():
            assert values[i] == pytest.approx(alone[name], abs=1e-9), name
        auc = sk.roc_auc_score(labels, scores, sample_weight=count)
        assert got["video_auc"][i] == pytest.approx(auc, abs=1e-9)


def test_log_loss_of_certain_mistakes_is_clipped_like_sklearns():
    scores, labels = np.array([0.0, 1.0, 1.0]), np.array([1, 0, 1])
    got = first(scores, labels)["log_loss"]
    assert got == pytest.approx(sk.log_loss(labels, scores), abs=1e-9)


def test_ece_by_hand():
    # Bins of 1/15: 0.10 and 0.12 share bin 1 (one fake of two), 0.9 is alone (fake).
    scores, labels = np.array([0.10, 0.12, 0.90]), np.array([0, 1, 1])
    expected = 2 / 3 * abs(0.11 - 0.5) + 1 / 3 * abs(0.9 - 1.0)
    assert first(scores, labels)["ece"] == pytest.approx(expected)


def test_ece_takes_a_score_of_one():
    assert first(np.array([1.0]), np.array([1]))["ece"] == 0.0


def test_eer_by_hand():
    # Fakes 0.9 0.4, reals 0.6 0.1: after 0.6, FPR = FNR = 1/2 exactly.
    scores, labels = np.array([0.9, 0.4, 0.6, 0.1]), np.array([1, 1, 0, 0])
    assert first(scores, labels)["eer"] == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_ranking_undefined_but_not_accuracy(label):
    scores, labels = np.array([0.2, 0.7]), np.full(2, label)
    found = first(scores, labels)
    for name in ("video_auc", "ap", "eer", "balanced_accuracy", "macro_f1"):
        assert np.isnan(found[name]), name
    assert found["accuracy"] == 0.5


def test_precision_is_0_when_nothing_is_called_fake():
    found = first(np.array([0.1, 0.2]), np.array([0, 1]))
    assert found["precision"] == 0 and found["f1"] == 0


def test_macro_f1_of_calling_everything_fake_is_low_where_f1_is_not():
    found = first(np.full(4, 0.9), np.array([0, 0, 1, 1]))
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx(1 / 3)
