"""Ensembles, passes of dropout and mirror images: requirements of members, and scores."""

import dataclasses
import json
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.data.faces.recipe import CropRecipe
from dfjax.data.store.feature_pack import FeaturePack
from dfjax.errors import UsageError
from dfjax.inference import ensemble as ensembles
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import combine, load_ensemble

T, SIZE = 2, 8


def make_detector(folder, checkpoint, **changes):
    """Its logit is its parameter times how much brighter the left half of a clip is."""
    config = load_config("dual_stream")
    config.preprocess.size = SIZE
    config.data.update({"frames": T, "stride": 1, "crop_size": SIZE, **changes})
    weight = {"a": 1.0, "b": 3.0}.get(folder.name, 1.0) * (2.0 if checkpoint == "last" else 1.0)

    def apply(variables, inputs, *, train, rngs):
        frames = inputs["hq"].mean((2, 4)).sum(1)  # padding is black
        bright = frames / inputs["mask"].sum(1, keepdims=True)
        logits = bright[:, : SIZE // 2].mean(1) - bright[:, SIZE // 2 :].mean(1)
        return logits * variables["weight"], {}, {}

    def preprocess(batch, rng, *, train):
        return {"hq": batch["clip"].astype(jnp.float32), "mask": batch["mask"]}

    return Detector(
        config=config,
        variables={"weight": jnp.float32(weight)},
        checkpoint=f"{checkpoint}/7",
        checkpoint_sha256=f"{folder} {checkpoint}",
        workdir=folder,
        apply=apply,
        preprocess=preprocess,
    )


@pytest.fixture
def odd(monkeypatch):
    """What is different about the data of workdir `b`; every workdir is there."""
    changes = {}
    monkeypatch.setattr(
        ensembles,
        "load",
        lambda folder, kind, model="": make_detector(
            folder, kind, **(changes if folder.name == "b" else {})
        ),
    )
    return changes


def half_bright(value, n=1):
    clips = np.zeros((n, T, SIZE, SIZE, 3), np.uint8)
    clips[:, :, :, : SIZE // 2] = value
    return {"clip": clips, "mask": np.ones((n, T), bool)}


def score(ensemble, batch):
    ((_, scores),) = ensemble.score([batch])
    return scores


def test_alone_it_is_the_detector_and_says_nothing_of_certainty(odd):
    alone = load_ensemble(Path("a"), "best")
    scores = score(alone, half_bright(1))
    assert set(scores) == {"logit", "fake_prob"} and len(scores["fake_prob"]) == 1
    np.testing.assert_allclose(scores["fake_prob"], expit(1.0))
    assert (alone.checkpoint, alone.checkpoint_sha256) == ("best/7", "a best")


def test_an_ensemble_is_the_mean_probability_of_its_members(odd):
    three = load_ensemble(Path("a"), "best", ensemble=["b", "last"])
    assert three.checkpoint == "best/7 + b:best/7 + a:last/7"
    scores = score(three, half_bright(1, n=2))
    members = expit(np.array([1.0, 3.0, 2.0]))
    for name, expected in (("fake_prob", members.mean()), ("fake_prob_sd", members.std())):
        np.testing.assert_allclose(scores[name], [expected] * 2, rtol=1e-6)
    assert (scores["mutual_information"] > 0).all()
    assert len(three.checkpoint_sha256) == 64


def test_flip_is_the_mean_over_a_clip_and_its_mirror_image(odd):
    both = load_ensemble(Path("a"), "best", ensemble=["b"], flip=True)
    batch = half_bright(1)
    scores = score(both, batch)
    np.testing.assert_allclose(scores["fake_prob"], 0.5, rtol=1e-6)  # p + (1 - p)
    mirrored = score(both, batch | {"clip": np.ascontiguousarray(batch["clip"][..., ::-1, :])})
    assert {k: v.tolist() for k, v in scores.items()} == {
        k: v.tolist() for k, v in mirrored.items()
    }
    assert both.checkpoint.endswith("; flip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 3}, "data.frames is 3 in one and 2"),
        ({"stride": 2}, "data.stride is 2 in one and 1"),
        ({"crop_size": 16}, "data.crop_size is 16 in one and 8"),
        ({"shuffle_labels": True}, "shuffled labels"),
        ({"flow": True}, "b reads optical flow and a does not"),
    ],
)
def test_members_that_do_not_fit_are_refused(odd, change, message):
    odd.update(change)
    with pytest.raises(UsageError, match=message):
        load_ensemble(Path("a"), "best", ensemble=["b"])


def test_members_with_other_training_crops_are_refused(capsys):
    a, b = (make_detector(Path(name), "best") for name in "ab")
    combine([a, b])
    assert capsys.readouterr().err == ""  # `predict` says that no recipe is recorded
    a.config.crops.update(dataclasses.asdict(CropRecipe()))
    combine([a, b])
    assert "note: the crop recipe of b is not recorded" in capsys.readouterr().err
    b.config.crops.update(dataclasses.asdict(CropRecipe(faces="mask", every=3)))
    combine([a, b])
    assert capsys.readouterr().err == ""  # the faces are other ones, but they are cropped alike
    b.config.crops.update({"margin": 1.6, "align": True})
    with pytest.raises(UsageError, match=r"differ \(margin: 1.3 and 1.6; align: False and True\)"):
        combine([a, b])


def test_no_member_twice_and_no_passes_without_dropout(odd):
    for again in ("a", "best"):
        with pytest.raises(UsageError, match="is already in the ensemble"):
            load_ensemble(Path("a"), "best", ensemble=["b", again])
    with pytest.raises(UsageError, match="a has no dropout"):
        load_ensemble(Path("a"), "best", passes=4)


def test_stored_features_are_for_those_who_read_them(odd):
    store = FeaturePack.__new__(FeaturePack)
    store.path = Path("features")
    with pytest.raises(UsageError, match="a reads frames, but features holds features"):
        load_ensemble(Path("a"), "best").check_data(store)
    with pytest.raises(UsageError, match="flip needs frames"):
        load_ensemble(Path("a"), "best", flip=True).check_data(store)


def test_predict_tells_the_spread(odd, tmp_path, capsys):
    path = tmp_path / "a.png"
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[:, : SIZE // 2] = 1
    cv2.imwrite(str(path), picture)
    arguments = [str(path), "--workdir", "a", "--detector", "none", "--ensemble", "b", "last"]
    assert main(["predict", *arguments]) == 0
    members = expit(np.array([1.0, 3.0, 2.0]))
    assert capsys.readouterr().out.startswith(f"{members.mean():.4f} ± {members.std():.4f}  fake")
    assert main(["predict", *arguments, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    assert result["fake_prob_sd"] == pytest.approx(members.std(), rel=1e-5)
    assert 0 < result["mutual_information"] < result["entropy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir", "a", "--mc-dropout", "1"], "0 or at least 2"),
        (["--workdir", "a", "--seed", "-1"], "seed must not be negative"),
        (["--predictions", "p.csv", "--flip"], "--flip does not go with --predictions"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(capsys, arguments, message):
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
