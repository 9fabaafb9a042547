"""A planted searcher of blends is told by the probe, and a detector of motion is not."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.data.index.records import read_index
from dfjax.data.store.pack import open_pack, pack
from dfjax.data.synthetic import generate
from dfjax.data.transforms.shortcuts import SHORTCUTS
from dfjax.errors import UsageError
from dfjax.evaluation.metrics.shortcuts import compute_shortcuts
from dfjax.inference.detector import Detector
from dfjax.inference.probe import _number_clusters, probe, score_versions

SIZE, FRAMES = 32, 4
Y, X = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
RADIUS = np.hypot(X / 0.29, Y / 0.36)
INSIDE, OUTSIDE = (RADIUS < 0.7)[..., None], (RADIUS > 1.4)[..., None]


def mean(frames, part):
    return (frames * part).sum((2, 3, 4)) / part.sum()


def make_blend_searcher(store):
    """It knows all recordings, and compares how much the face and the rest were changed."""
    reals = np.flatnonzero(store.index["label"] == 0).tolist()
    known = jnp.stack([store.read(row, store.frame_numbers(row)) for row in reals]).astype(float)

    def find_blends(clip):
        far = jnp.abs(clip[:, None] - known)  # [B, N, T, H, W, 3]
        nearest = (far * OUTSIDE).sum((2, 3, 4, 5)).argmin(1)
        change = far[jnp.arange(len(clip)), nearest]
        return jnp.abs(mean(change, INSIDE) - mean(change, OUTSIDE)).mean(1)

    return find_blends


def find_motion(clip):
    """Returns how much the brightness of the face changes in time, compared with the rest."""
    return 10 * (jnp.log(mean(clip, INSIDE) + 1) - jnp.log(mean(clip, OUTSIDE) + 1)).std(1)


def make_detector(folder, measure):
    config = load_config("dual_stream")
    config.data.update({"frames": FRAMES, "stride": 1, "crop_size": SIZE, "path": str(folder)})
    config.eval.batch_size = 16

    def apply(variables, inputs, *, train, rngs):
        return measure(inputs["clip"]), {}, {}

    def preprocess(batch, rng, *, train):
        return {"clip": batch["clip"].astype(jnp.float32)}

    return Detector(
        config=config, variables={}, checkpoint="best/1", checkpoint_sha256="a" * 64,
        workdir=folder, apply=apply, preprocess=preprocess,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    generate(folder / "made", videos=80, identities=20, frames=FRAMES, size=SIZE, workers=1)
    pack(folder / "made" / "index.parquet", folder / "pack")
    return folder / "pack"


@pytest.mark.slow
def test_a_searcher_of_blends_scores_high_and_a_detector_of_motion_low(data, tmp_path):
    out = tmp_path / "probe.json"
    blends = probe(
        make_detector(data, make_blend_searcher(open_pack(data))), split="train", out=out
    )
    motion = probe(make_detector(data, find_motion), split="train")
    found, moved = ({row["shortcut"]: row for row in each.shortcuts} for each in (blends, motion))
    assert list(found) == list(SHORTCUTS)
    assert found["self-blending"]["auc"] > 0.7 and found["self-blending"]["share_ci"][0] > 0
    low, high = moved["self-blending"]["auc_ci"]
    assert low < 0.5 < high and moved["self-blending"]["auc"] < 0.6
    assert motion.detector_auc["video_auc"] > 0.6
    stored = json.loads(out.read_text())
    assert stored["videos"] == {"real": 24, "fake": 24} and "groups" in stored["resampled"]
    assert stored["shortcuts"][0]["auc"] == found["self-blending"]["auc"]
    assert "share of the AUC" in [c.header for c in blends.describe()[0].columns]


@pytest.mark.slow
def test_versions_differ_only_where_they_should(data):
    """The scores are means of single pixels: a corner, which only a background changes."""
    store = open_pack(data)
    rows = np.flatnonzero(store.index["label"] == 0)[:6]
    fakes = np.flatnonzero(store.index["label"] == 1)[:6]

    def corner(clip):
        return clip[:, 0, 0, 0, 0] / 255

    scores = score_versions(make_detector(data, corner), store, rows, fakes)
    np.testing.assert_array_equal(scores["original"], scores["real_blended"])
    np.testing.assert_array_equal(scores["unblended"], scores["self_blended"])
    assert (scores["real_background"] == np.roll(scores["original"], -3)).all()
    assert not np.array_equal(scores["original"], scores["fake_background"])


def test_shares_by_hand():
    reals, fakes = np.array([0.1, 0.2]), np.array([0.3, 0.15])  # AUC 3/4
    changed = {
        "none": (reals, reals),
        "all": (reals, reals + 0.5),
        "half": (reals, np.array([0.3, 0.15])),
    }
    base, rows = compute_shortcuts(reals, fakes, changed, np.arange(4), resamples=50)
    assert base["video_auc"] == 0.75
    assert [row["auc"] for row in rows] == [0.5, 1.0, 0.75]
    assert [row["share"] for row in rows] == [0.0, 2.0, 1.0]
    worse = compute_shortcuts(fakes, reals, changed, np.arange(4), resamples=50)[1]
    assert all(np.isnan(row["share"]) for row in worse), "an AUC below chance has no shares"


def test_versions_of_a_video_are_resampled_with_it(data):
    index = read_index(data / "index.parquet")
    rows = np.flatnonzero(index["split"] == "train")
    clusters, number = _number_clusters(open_pack(data), rows)
    assert clusters.kind == "group"
    groups = index["group"].to_numpy()[rows]
    assert len(set(zip(groups, number))) == len(set(groups)) == clusters.count


def test_a_split_without_fakes_is_refused(data):
    detector = make_detector(data, find_motion)
    with pytest.raises(UsageError, match="a probe needs real videos and fakes"):
        probe(detector, split="none")
