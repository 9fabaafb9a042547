"""Tests the synthetic data set: plan, determinism, resuming, and absence of shortcuts."""

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from dfjax.data.index.records import read_index
from dfjax.data.synthetic import generate
from dfjax.data.synthetic.manipulations import MANIPULATIONS
from dfjax.data.synthetic.plan import make_plan
from dfjax.errors import UsageError


def test_plan_is_half_fake_and_every_fake_has_its_own_real():
    plans = make_plan(200, 20, seed=0)
    reals = {p.recording: p for p in plans if p.method == "real"}
    fakes = [p for p in plans if p.method != "real"]
    assert len(reals) == len(fakes) == 100
    assert len({p.video_id for p in plans}) == 200
    assert {p.recording for p in fakes} == set(reals)
    assert all(reals[p.recording].split == p.split for p in fakes)


def test_splits_share_no_identity_and_no_group():
    plans = make_plan(200, 20, seed=0)
    for what in (lambda p: {p.target, p.donor}, lambda p: {p.group}):
        seen = {
            s: set().union(*(what(p) for p in plans if p.split == s))
            for s in ("train", "val", "test")
        }
        assert not (seen["train"] & seen["val"] or seen["train"] & seen["test"])
        assert not seen["val"] & seen["test"]
        assert all(seen.values())


def test_methods_are_dealt_evenly():
    plans = make_plan(1000, 100, seed=3)
    counts = pd.Series([p.method for p in plans if p.split == "test" and p.method != "real"])
    assert counts.value_counts().to_dict() == dict.fromkeys(MANIPULATIONS, 30)


@pytest.mark.parametrize(("videos", "identities"), [(101, 20), (200, 7), (200, 4), (10, 20)])
def test_impossible_numbers_are_wrong_usage(videos, identities):
    with pytest.raises(UsageError):
        make_plan(videos, identities, seed=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("small")
    index, drawn = generate(out, videos=12, identities=6, frames=4, size=32, seed=5, workers=1)
    assert drawn == 12
    return out, read_index(index)


def test_index_describes_the_crops(small):
    out, df = small
    assert set(df["dataset"]) == {"synthetic"}
    assert df["label"].sum() == 6
    for row in df.itertuples():
        files = sorted((out / row.frames_dir).glob("*.jpg"))
        assert [int(f.stem) for f in files] == row.frame_indices == [0, 1, 2, 3]
        assert row.bytes == sum(f.stat().st_size for f in files)
        assert cv2.imread(str(files[0])).shape == (32, 32, 3)
        assert (row.pair_id is None or pd.isna(row.pair_id)) == (row.method == "real")
    fakes = df[df["label"] == 1]
    assert set(fakes["pair_id"]) <= set(df["video_id"][df["label"] == 0])


def test_pixels_depend_on_the_seed_and_not_on_the_workers(small, tmp_path):
    _, df = small
    index, _ = generate(
        tmp_path / "two", videos=12, identities=6, frames=4, size=32, seed=5, workers=2
    )
    assert read_index(index)["sha256"].tolist() == df["sha256"].tolist()
    index, _ = generate(
        tmp_path / "other", videos=12, identities=6, frames=4, size=32, seed=6, workers=1
    )
    assert not set(read_index(index)["sha256"]) & set(df["sha256"])


def test_an_interrupted_run_continues_and_other_settings_are_refused(tmp_path):
    make = {"videos": 12, "identities": 6, "frames": 2, "size": 16, "workers": 1}
    index, _ = generate(tmp_path, **make)
    before = read_index(index)
    victim = tmp_path / before["frames_dir"][3]
    (victim / "000001.jpg").unlink()
    index, drawn = generate(tmp_path, **make)
    assert drawn == 1
    assert read_index(index)["sha256"].tolist() == before["sha256"].tolist()
    with pytest.raises(UsageError, match="seed: 0 -> 1"):
        generate(tmp_path, **make, seed=1)


def test_nuisances_do_not_tell_the_classes(tmp_path):
    """File size, frame count, mean colour and sharpness alone: cross-validated AUC below 0.6."""
    index, _ = generate(tmp_path, videos=320, identities=80, frames=2, size=64, seed=1)
    df = read_index(index)
    colours = [
        np.mean([cv2.imread(str(f)).mean((0, 1)) for f in (tmp_path / d).glob("*.jpg")], axis=0)
        for d in df["frames_dir"]
    ]
    sharpness = df["quality"].map(np.mean).to_numpy()
    features = np.column_stack([df["bytes"], df["n_frames"], colours, sharpness])
    guess = cross_val_predict(
        GradientBoostingClassifier(random_state=0),
        features,
        df["label"],
        groups=df["group"],
        cv=GroupKFold(5),  # a fake and its real are never on both sides
        method="predict_proba",
    )[:, 1]
    assert roc_auc_score(df["label"], guess) < 0.6
