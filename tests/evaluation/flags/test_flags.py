"""Tests that every rule returns a flag for its problem and for nothing else."""

import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation import flags, metrics
from dfjax.evaluation.videos.aggregation import aggregate, clean


def table(labels, scores, **columns):
    n = len(labels)
    labels = np.asarray(labels)
    rows = {
        "dataset": "d", "video_id": [f"v{i:04d}" for i in range(n)], "unit": "clip",
        "position": 0, "face": 0, "label": labels, "fake_prob": np.asarray(scores, float),
        "method": np.where(labels == 1, "DF", "real"), "split": "test",
    }  # fmt: skip
    return pd.DataFrame(rows | columns)


def good(n=100, seed=0, separation=0.3):
    """A detector that works, AUC about 0.9."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    return table(labels, np.clip(rng.normal(0.35 + separation * labels, 0.15), 0.01, 0.99))


def index(rows, **columns):
    frame = pd.DataFrame({"video_id": rows["video_id"], "group": rows["video_id"]})
    frame["origin_id"], frame["label"] = None, rows["label"]
    frame["identities"] = [[f"d/{v}"] for v in frame["video_id"]]
    return frame.assign(**columns)


def evidence(predictions, **others):
    rows = clean(predictions)
    videos = aggregate(rows)
    computed = metrics.compute(predictions, resamples=0)
    return flags.Evidence(predictions, videos, computed, **others)


def codes(predictions, **others):
    return [flag["code"] for flag in flags.check(evidence(predictions, **others))]


def other_people(rows):
    return index(rows).assign(
        video_id="t" + rows["video_id"],
        group="t" + rows["video_id"],
        identities=[[f"d/t{v}"] for v in rows["video_id"]],
    )


def test_a_sound_evaluation_raises_nothing():
    rows = good()
    history = pd.DataFrame({"epoch": [1, 2, 3], "val_video_auc": [0.6, 0.8, 1.0]})
    assert codes(rows, index=index(rows), train_index=other_people(rows), history=history) == []


def test_non_finite_rows_are_listed():
    rows = good()
    rows.loc[[3, 5], "fake_prob"] = [np.nan, np.inf]
    (flag,) = flags.check(evidence(rows))
    assert flag["code"] == "non_finite" and flag["severity"] == "error"
    assert flag["ids"] == ["v0003", "v0005"] and flag["message"].startswith("2 rows")


def test_duplicate_keys():
    rows = good()
    assert codes(pd.concat([rows, rows.iloc[[7]]])) == ["duplicate_keys"]
    assert codes(pd.concat([rows, rows.iloc[[7]].assign(position=9)])) == []


def test_one_id_that_names_several_manipulations():
    rows = good()
    second = rows[rows.label == 1].assign(method="FS", position=1)
    assert codes(pd.concat([rows, second])) == ["one_id_many_methods"]
    assert codes(pd.concat([rows, second.assign(dataset="e")])) == []


@pytest.mark.parametrize("label", [0, 1])
def test_class_missing(label):
    rows = good()
    (flag,) = flags.check(evidence(rows[rows.label == label]))
    assert flag["code"] == "class_missing" and ("no fake", "no real")[label] in flag["message"]


def test_constant_predictions():
    rows = good()
    assert "constant_predictions" in codes(rows.assign(fake_prob=0.5 + 1e-4 * rows.label))
    assert codes(rows.assign(fake_prob=0.4 + 0.2 * rows.label)) == []
    assert codes(table([0, 1, 0, 1], [0.6, 0.7, 0.8, 0.9])) == []  # four verdicts are soon alike


def test_a_detector_that_calls_everything_fake():
    """F1 0.667 and an AUC a little above chance once passed for a detector."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    scores = 0.5 + 0.4 * rng.beta(2, 2, 400) + 0.02 * labels
    rows = table(labels, scores)
    found = metrics.compute(rows, resamples=0)
    assert found["f1"] == pytest.approx(2 / 3) and found["macro_f1"] == pytest.approx(1 / 3)
    assert 0.5 < found["video_auc"] < 0.6
    (flag,) = flags.check(evidence(rows))
    assert (flag["code"], flag["severity"]) == ("constant_predictions", "warning")
    assert "no video is classified as real, although 200 are real" in flag["message"]


def test_inverted_predictions():
    rows = good()
    assert "inverted_predictions" in codes(rows.assign(fake_prob=1 - rows.fake_prob))
    few = table([0, 1], [0.9, 0.1])  # AUC 0, but of two videos
    assert codes(few) == ["few_videos"]
    assert codes(table([0, 0, 0, 1, 1, 1], [0.9, 0.8, 0.7, 0.3, 0.2, 0.1])) == [
        "inverted_predictions"
    ]


def test_accuracy_without_ranking():
    rng = np.random.default_rng(1)
    majority = table(np.r_[np.zeros(20), np.ones(180)].astype(int), rng.uniform(0.6, 0.9, 200))
    assert "accuracy_without_ranking" in codes(majority)
    ten = table(np.arange(10) // 9, np.linspace(0.1, 0.4, 10)[[0, 2, 4, 6, 8, 9, 7, 5, 3, 1]])
    assert "accuracy_without_ranking" not in codes(ten)  # the one fake scores low: AUC 1/9
    middle = ten.assign(fake_prob=np.linspace(0.1, 0.4, 10)[[0, 1, 2, 3, 5, 6, 7, 8, 9, 4]])
    assert "accuracy_without_ranking" in codes(middle)
    ranked = majority.assign(fake_prob=majority.fake_prob / 2 + 0.3 * majority.label + 0.1)
    assert "accuracy_without_ranking" not in codes(ranked)


@pytest.mark.parametrize("seed", range(3))
def test_scores_joined_to_the_labels_of_other_videos(seed):
    rows = good(400, seed)
    mixed = rows.assign(
        fake_prob=np.roll(np.sort(rows.fake_prob), 0)[np.random.default_rng(seed).permutation(400)]
    )
    assert "precision_is_prior" in codes(mixed)
    assert "precision_is_prior" not in codes(rows)


def test_precision_of_few_videos_has_to_be_the_prior_itself():
    labels = np.arange(12) % 2
    assert "precision_is_prior" in codes(
        table(labels, np.repeat([0.2, 0.7, 0.3, 0.8], [2, 4, 4, 2]))
    )
    assert "precision_is_prior" not in codes(table(labels, np.r_[0.7, labels[1:] * 0.5 + 0.2]))
    half = np.r_[0.7, 0.2, 0.7, 0.2, labels[4:] * 0.5 + 0.2]  # 4 of 6 right, which 12 cannot tell
    assert "precision_is_prior" not in codes(table(labels, half))


def test_an_index_that_lacks_videos_or_says_otherwise():
    rows = good()
    known = index(rows)
    known.loc[[4, 5], "label"] = 1 - known.loc[[4, 5], "label"]
    found = flags.check(evidence(rows, index=known.drop(index=9)))
    assert [(flag["code"], flag["severity"], flag["ids"]) for flag in found] == [
        ("not_in_index", "warning", ["v0009"]),
        ("labels_differ", "error", ["v0004", "v0005"]),
    ]


def test_identity_in_training():
    rows = good()
    train = other_people(rows)
    train.at[0, "identities"] = ["d/t0", "d/v0042"]
    (flag,) = flags.check(evidence(rows, index=index(rows), train_index=train))
    assert flag["code"] == "identity_in_training" and flag["ids"] == ["v0042"]
    assert flag["severity"] == "error"


@pytest.mark.parametrize("column", ["video_id", "group", "origin_id"])
def test_video_group_or_recording_in_training(column):
    rows = good()
    evaluated, train = index(rows), other_people(rows)
    evaluated.loc[3, column] = train.loc[8, column] = "v0003"
    (flag,) = flags.check(evidence(rows, index=evaluated, train_index=train))
    assert flag["code"] == "video_in_training" and len(flag["ids"]) == 1


@pytest.mark.parametrize("column", ["group", "origin_id"])
def test_what_training_had_to_accept_is_no_error_but_said(column):
    rows = good()
    evaluated, train = index(rows), other_people(rows)
    evaluated.loc[3, column] = train.loc[8, column] = "same"
    known = {"accepted": {column: {"same"}}, "index": evaluated, "train_index": train}
    (flag,) = flags.check(evidence(rows, **known))
    assert flag["severity"] == "warning" and "accepted when training" in flag["message"]
    evaluated.loc[4, column] = train.loc[9, column] = "new"
    (flag,) = flags.check(evidence(rows, **known))
    assert flag["severity"] == "error" and len(flag["ids"]) == 2


def test_unknown_people_and_recordings_do_not_match_each_other():
    rows = good()
    nobody = [None] * len(rows)
    evaluated = index(rows).assign(identities=nobody)
    assert codes(rows, index=evaluated, train_index=other_people(rows)) == []


def test_scoring_the_training_split_is_said_but_no_error():
    rows = good().assign(split="train")
    found = flags.check(evidence(rows, index=index(rows), train_index=index(rows)))
    assert {flag["severity"] for flag in found} == {"info"} and len(found) == 2


def test_near_perfect_validation_in_the_first_epochs():
    early = pd.DataFrame({"epoch": [1, 2, 3], "val_video_auc": [0.7, 1.0, 1.0]})
    assert codes(good(), history=early) == ["early_perfect_validation"]
    unknown = pd.DataFrame({"epoch": [1], "val_video_auc": [np.nan]})
    assert codes(good(), history=unknown) == []


def test_verdicts_that_are_constant_are_not_called_scores():
    high = good().assign(fake_prob=lambda t: 0.5 + t.fake_prob / 2)
    (flag,) = [f for f in flags.check(evidence(high)) if f["code"] == "constant_predictions"]
    assert "verdicts at 0.5 are (nearly) constant, although scores differ" in flag["message"]


def test_a_class_of_one_video_is_too_little():
    assert "few_videos" in codes(table([0, 1], [0.1, 0.9]))
    assert "few_videos" not in codes(table([0, 1] * 3, [0.1, 0.9] * 3))
