"""Metrics of published tables: values by hand, and by scikit-learn where it has them."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from dfjax.evaluation import metrics
from dfjax.evaluation.metrics.named_metrics import (
    Frozen,
    freeze_threshold,
    measure_verdicts,
    recall_at_fpr,
)
from dfjax.evaluation.report.metrics_json import Context, make_metrics


def random_videos(seed, n=80):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(0, 2, n - 2)]
    scores = np.clip(rng.normal(0.4 + 0.25 * labels, 0.25), 0, 1).round(2)  # with ties
    order = np.lexsort((labels, scores))
    return scores[order], labels[order]


def table(scores, labels, **columns):
    rows = {"dataset": "d", "video_id": [f"v{n}" for n in range(len(scores))], "unit": "video"}
    rows |= {"position": 0, "face": 0, "label": labels, "fake_prob": scores, "split": "test"}
    return pd.DataFrame(rows | {"method": np.where(labels, "swap", "real")} | columns)


@pytest.mark.parametrize("seed", range(5))
def test_verdicts_equal_sklearn(seed):
    scores, labels = random_videos(seed)
    got = measure_verdicts(scores, labels, Frozen(0.45, "val"))
    called, at_val = scores >= 0.5, scores >= 0.45
    tn, fp, fn, tp = sk.confusion_matrix(labels, called).ravel()
    assert [got[name] for name in ("tn", "fp", "fn", "tp")] == [tn, fp, fn, tp]
    report = sk.classification_report(labels, called, output_dict=True)["0"]
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        assert got[f"{name}_real"] == pytest.approx(report[key], abs=1e-9)
    assert got["accuracy_at_val"] == pytest.approx(sk.accuracy_score(labels, at_val), abs=1e-9)
    balanced = sk.balanced_accuracy_score(labels, at_val)
    assert got["balanced_accuracy_at_val"] == pytest.approx(balanced, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_tpr_at_small_fprs_equals_the_roc_curve(seed):
    scores, labels = random_videos(seed, n=400)
    got = metrics.compute(table(scores, labels), resamples=0)
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    for name, limit in (("001", 0.001), ("01", 0.01), ("05", 0.05), ("10", 0.1)):
        assert got[f"tpr_at_fpr_{name}"] == pytest.approx(tpr[fpr <= limit].max(), abs=1e-9)


def test_accuracy_at_the_own_eer_threshold():
    scores, labels = np.array([0.1, 0.2, 0.6, 0.7, 0.8]), np.array([0, 0, 1, 0, 1])
    # From 0.7 on: FPR 1/3 and FNR 1/2; from 0.6 on: FPR 1/3 and FNR 0; from 0.8 on: 0 and 1/2.
    assert measure_verdicts(scores, labels, None)["accuracy_at_eer"] == pytest.approx(3 / 5)


def test_ece_of_bins_of_equal_mass_by_hand():
    scores = np.r_[np.full(15, 0.2), np.full(15, 0.6)]
    labels = np.r_[np.zeros(15, int), np.ones(15, int)]
    # 15 bins of two videos: in 7 the excess is 2 * 0.2, in 7 it is -2 * 0.4, in one 0.2 - 0.4.
    expected = (7 * 0.4 + 7 * 0.8 + 0.2) / 30
    got = measure_verdicts(scores, labels, None)
    assert got["ece_equal_mass"] == pytest.approx(expected, abs=1e-12)
    assert got["confidence_below_90"] == 1.0 and got["confidence_above_99"] == 0.0


def test_equal_scores_on_both_sides_of_an_edge_have_the_same_share_of_fakes():
    scores, labels = np.full(40, 0.5), np.repeat([0, 1], 20)
    assert measure_verdicts(scores, labels, None)["ece_equal_mass"] == 0.0
    assert measure_verdicts(scores, labels[::-1], None)["ece_equal_mass"] == 0.0


def test_confidence_counts_both_ends():
    scores = np.array([0.001, 0.05, 0.5, 0.95, 0.999])
    got = measure_verdicts(scores, np.array([0, 0, 1, 1, 1]), None)
    assert got["confidence_above_99"] == 0.4 and got["confidence_below_90"] == 0.2


def test_the_mean_logit_trusts_certain_frames():
    frames = pd.DataFrame(
        {"dataset": "d", "video_id": ["f"] * 3 + ["r"], "unit": "frame", "position": [0, 1, 2, 0]}
    ).assign(face=0, label=[1, 1, 1, 0], method="x", split="test")
    frames["fake_prob"] = [0.3, 0.3, 0.999, 0.55]
    got = metrics.compute(frames, resamples=0)
    assert got["video_auc"] == 0.0  # 0.533 against 0.55
    assert got["video_auc_mean_logit"] == 1.0  # logits -0.85, -0.85, 6.9 against 0.2


def test_logits_that_were_written_tell_saturated_scores_apart():
    rows = table(np.array([1.0, 1.0, 0.0]), np.array([0, 1, 0]), logit=[20.0, 25.0, -20.0])
    got = metrics.compute(rows, resamples=0)
    assert got["video_auc"] == 0.75 and got["video_auc_mean_logit"] == 1.0  # probabilities tie
    assert metrics.compute(rows.drop(columns="logit"), resamples=0)["video_auc_mean_logit"] == 0.75


def test_the_threshold_is_the_middle_of_the_best_range():
    scores, labels = np.array([0.2, 0.4, 0.8, 0.9]), np.array([0, 0, 1, 1])
    assert freeze_threshold(scores, labels, "val") == Frozen(pytest.approx(0.6), "val")
    assert freeze_threshold(scores, np.ones(4, int), "val") is None


def test_recall_per_method_at_one_fpr_of_all_reals():
    scores = np.r_[np.arange(20) / 20, 0.97, 0.2, 0.92]  # 20 reals, then fakes
    labels = np.r_[np.zeros(20, int), np.ones(3, int)]
    methods = {"a": np.r_[np.zeros(20, bool), True, True, False], "b": np.arange(23) == 22}
    got = recall_at_fpr(scores, labels, methods)
    # 5 % of 20 reals is one, 0.95; the threshold is above 0.9.
    assert got["fpr_05"] == {"fpr": 0.05, "above": 0.9, "recall": {"a": 0.5, "b": 1.0}}
    assert got["fpr_01"] == {"fpr": 0.0, "above": 0.95, "recall": {"a": 0.5, "b": 0.0}}


def test_identities_macros_and_the_frozen_threshold_are_in_the_report():
    scores, labels = random_videos(0)
    rows = table(scores, labels, identity=[f"p{n % 4}" for n in range(80)])
    got = make_metrics(rows, Context(frozen=Frozen(0.6, "val.csv")), resamples=0)
    assert set(got["by_identity"]) == {"p0", "p1", "p2", "p3"}
    one = rows[rows["identity"] == "p1"]
    auc = sk.roc_auc_score(one["label"], one["fake_prob"])
    assert got["by_identity"]["p1"]["video_auc"] == pytest.approx(auc, abs=1e-9)
    assert got["macro_datasets"]["ap"] == got["overall"]["ap"]
    assert got["val_threshold"] == {"threshold": 0.6, "source": "val.csv"}
    assert got["overall"]["accuracy_at_val"] == np.mean((scores >= 0.6) == labels)
