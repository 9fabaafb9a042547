"""Rules of fusion: values by hand, scikit-learn, and damaged files."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from dfjax.errors import FileError, UsageError
from dfjax.evaluation.fusion.fusion_file import (
    Fusion,
    Member,
    is_fusion,
    read_fusion,
    write_fusion,
)
from dfjax.evaluation.fusion.rules import (
    METHODS,
    Rule,
    cross_fuse,
    fit_logistic,
    fit_rule,
    vote,
    vote_by_confidence,
)
from dfjax.files import hash_json

THREE = np.array([[0.9, 0.2, 0.5], [0.6, 0.4, 0.5], [0.3, 0.9, 0.5]])


def draw(n=300, seed=0):
    """A good detector, a weak one, and one that is noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    signs = (2 * labels - 1)[None] * np.array([[1.5], [0.5], [0.0]])
    return expit(signs + rng.normal(0, 1, (3, n))), labels


def test_rules_by_hand():
    np.testing.assert_allclose(Rule("mean_prob")(THREE), [0.6, 0.5, 0.5])
    np.testing.assert_allclose(Rule("mean_logit")(THREE), expit(logit(THREE).mean(0)))
    np.testing.assert_allclose(vote(THREE), [(2 + 0.6) / 4, (1 + 0.5) / 4, (3 + 0.5) / 4])
    expected = (0.8 * 0.9 + 0.2 * 0.6 + 0.4 * 0.3) / 1.4
    np.testing.assert_allclose(vote_by_confidence(THREE)[[0, 2]], [expected, 0.5])
    weighed = Rule("weights", (2.0, 0.0, -1.0), 0.5)(THREE)
    np.testing.assert_allclose(weighed, expit(2 * logit(THREE[0]) - logit(THREE[2]) + 0.5))


def test_a_vote_is_that_of_most_and_ties_go_by_the_mean():
    probs = np.random.default_rng(0).random((4, 500))
    votes, mean = (probs >= 0.5).sum(0), probs.mean(0)
    expected = np.where(votes == 2, mean >= 0.5, votes > 2)
    assert ((vote(probs) >= 0.5) == expected).all()


@pytest.mark.parametrize("method", METHODS)
def test_detectors_that_agree_are_kept(method):
    probs, labels = draw()
    rule = fit_rule(method, probs, labels, np.arange(len(labels)))
    fused = rule(probs)
    assert ((fused >= 0) & (fused <= 1)).all() and np.isfinite(rule(np.zeros((3, 2)))).all()
    if method != "stacking" and method != "weights":
        assert ((rule(np.tile([[0.2, 0.8]], (3, 1))) >= 0.5) == [False, True]).all()


@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
def test_weights_equal_scikit_learn(penalty):
    probs, labels = draw()
    weights, bias = fit_logistic(logit(probs), labels, penalty)
    theirs = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-12, max_iter=10_000)
    theirs.fit(logit(probs).T, labels)
    np.testing.assert_allclose(weights, theirs.coef_[0], atol=1e-5)
    assert bias == pytest.approx(theirs.intercept_[0], abs=1e-5)


def test_the_good_detector_has_the_weight_and_none_is_negative_where_asked():
    probs, labels = draw()
    probs[2] = 1 - probs[0] * 0.9  # an inverted detector
    free = fit_rule("weights", probs, labels, np.arange(300))
    held = fit_rule("weights", probs, labels, np.arange(300), nonnegative=True)
    assert min(free.weights) < 0 <= min(held.weights) and held.weights[2] == 0
    assert held.weights[0] > held.weights[1] > 0


def test_cross_fitted_scores_do_not_know_their_fold():
    rng = np.random.default_rng(1)
    probs, labels = rng.random((8, 24)), rng.integers(0, 2, 24)  # noise
    rule = fit_rule("weights", probs, labels, np.arange(24))
    inside = ((rule(probs) >= 0.5) == (labels == 1)).mean()
    outside = ((cross_fuse("weights", probs, labels, np.arange(24)) >= 0.5) == labels).mean()
    assert inside > 0.7 > outside


def test_stacking_shrinks_what_does_not_help():
    rng = np.random.default_rng(1)
    probs, labels = rng.random((4, 24)), rng.integers(0, 2, 24)
    free, shrunk = (
        fit_rule(method, probs, labels, np.arange(24)) for method in ("weights", "stacking")
    )
    assert np.abs(shrunk.weights).max() < np.abs(free.weights).max() / 3


@pytest.fixture
def fusion(tmp_path):
    members = [Member(name, tmp_path / f"{name}.csv", "table", "0" * 64) for name in "ab"]
    return Fusion(
        Rule("weights", (1.0, 0.5), -0.25), members, "val",
        [{"path": "a.csv", "sha256": "0" * 64}], frozenset({("set", "x")}), tmp_path / "f.json",
    )  # fmt: skip


def test_a_file_is_read_as_written(fusion, tmp_path):
    write_fusion(fusion, fusion.path, [])
    found = read_fusion(fusion.path)
    assert is_fusion(fusion.path) and found.rule == fusion.rule and found.videos == fusion.videos
    assert [m.source.resolve() for m in found.members] == [m.source for m in fusion.members]
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert not is_fusion(tmp_path / "other.json") and not is_fusion(tmp_path / "none.json")


def test_a_changed_digit_is_refused(fusion):
    write_fusion(fusion, fusion.path, [])
    text = fusion.path.read_text()
    fusion.path.write_text(text.replace("-0.25", "-0.26"))
    with pytest.raises(FileError, match=r"f.json was changed .* run `dfjax fuse` again"):
        read_fusion(fusion.path)


def test_videos_that_it_was_fitted_to_are_refused(fusion):
    fusion.check_unseen(pd.DataFrame({"dataset": ["set", "other"], "video_id": ["y", "x"]}))
    with pytest.raises(UsageError, match="was fitted to 1 of these videos, for example set/x"):
        fusion.check_unseen(pd.DataFrame({"dataset": ["set"], "video_id": ["x"]}))


DAMAGE = {
    "format": ({"dfjax_fusion": 2}, "format is 2"),
    "method": ({"method": "__import__('os')"}, "method .* is unknown"),
    "weights": ({"weights": [1.0]}, "needs 2 weights, not 1"),
    "infinite": ({"bias": 1e999}, "finite|number"),
    "text": ({"weights": ["1", "2"]}, "not a number"),
    "one member": ({"members": []}, "members are not two"),
    "kind": ({"members.kind": "code"}, "members are not two"),
    "names": ({"members.name": "a"}, "have one name"),
    "null": ({"members.source": "a\x00b"}, "null character"),
    "videos": ({"fitted": {"split": "val", "tables": [], "videos": [["a"]]}}, "not pairs"),
    "no fit": ({"fitted": None}, "null, not an object"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_one_line(fusion, name):
    write_fusion(fusion, fusion.path, [])
    value = json.loads(fusion.path.read_text())
    changes, message = DAMAGE[name]
    for key, new in changes.items():
        if key.startswith("members."):
            for member in value["members"]:
                member[key.removeprefix("members.")] = new
        else:
            value[key] = new
    fusion.path.write_text(json.dumps(value | {"sha256": hash_json(value)}))
    with pytest.raises(FileError, match=message) as raised:
        read_fusion(fusion.path)
    assert "\n" not in str(raised.value)
