"""Tests which pixels each manipulation of the synthetic data set changes."""

import dataclasses

import numpy as np
import pytest

from dfjax.data.faces.detectors.haar import make_haar
from dfjax.data.faces.video import probe, read_frames
from dfjax.data.synthetic.face import draw
from dfjax.data.synthetic.identity import make_generator, make_identity
from dfjax.data.synthetic.manipulations import (
    MANIPULATIONS,
    inner_mask,
    make_forgery,
    make_visible,
    wear_makeup,
)
from dfjax.data.synthetic.plan import make_plan
from dfjax.data.synthetic.samples import rank, write_samples
from dfjax.data.synthetic.scene import make_scene

T = 6


@pytest.fixture(scope="module")
def forgery():
    scene = make_scene(0, "scene", T, (128, 128), 56.0)
    one, other = make_identity(0, "a"), make_identity(0, "b")
    forgery = make_forgery(make_generator(0, "forgery"), one, other, scene)
    return dataclasses.replace(forgery, visible=np.ones(T))


@pytest.fixture(scope="module")
def honest(forgery):
    return [
        wear_makeup(draw(forgery.target, forgery.scene, t), forgery.target, forgery.scene, t)
        for t in range(T)
    ]


def _mask(forgery, image, t):
    pose, person = forgery.scene.poses[t], forgery.target
    return inner_mask(image.shape, pose, person, extent=forgery.extent, seam=forgery.seam)


@pytest.mark.parametrize("method", MANIPULATIONS)
def test_only_the_inner_face_changes(method, forgery, honest):
    for t, image in enumerate(honest):
        forged = MANIPULATIONS[method](image, forgery, t)
        outside = np.broadcast_to(_mask(forgery, image, t) == 0, image.shape)
        assert forged.dtype == np.float32
        assert np.array_equal(forged[outside], image[outside])
        assert np.abs(forged - image)[~outside].mean() > 1.0


@pytest.mark.parametrize("method", sorted(MANIPULATIONS.keys() - {"blend"}))
def test_a_forgery_that_does_not_show_is_the_honest_frame(method, forgery, honest):
    hidden = dataclasses.replace(forgery, visible=np.zeros(T))
    forged = MANIPULATIONS[method](honest[0], hidden, 0)
    np.testing.assert_allclose(forged, honest[0], atol=1e-3)


def test_a_well_matched_blend_has_the_colour_of_the_face_it_replaces(forgery, honest):
    hidden = dataclasses.replace(forgery, visible=np.zeros(T))
    forged = MANIPULATIONS["blend"](honest[0], hidden, 0)
    core = _mask(forgery, honest[0], 0)[:, :, 0] == 1
    np.testing.assert_allclose(forged[core].mean(0), honest[0][core].mean(0), rtol=0.02)
    assert np.abs(forged - honest[0])[core].mean() > 2.0  # yet it is another face


def test_flicker_jumps_from_frame_to_frame_and_a_colour_fault_does_not(forgery, honest):
    def jumps(method):
        ratios = []
        for t, image in enumerate(honest):
            core = _mask(forgery, image, t)[:, :, 0] > 0.99
            forged = MANIPULATIONS[method](image, forgery, t)
            ratios.append(forged[core].mean() / image[core].mean())
        return np.abs(np.diff(ratios)).mean()

    assert jumps("flicker") > 4 * jumps("colour")


def test_faults_show_in_one_stretch_of_the_video():
    for seed in range(50):
        visible = make_visible(np.random.default_rng(seed), 12)
        assert visible.min() >= 0 and visible.max() <= 1
        shown = visible > 0.5 * visible.max()
        assert 5 <= shown.sum() <= 11
        assert np.abs(np.diff(shown.astype(int))).sum() <= 2


def test_pictures_are_the_same_every_time_and_people_differ():
    scene = make_scene(0, "scene", 2, (96, 96), 40.0)
    one = draw(make_identity(0, "a"), scene, 1)
    assert np.array_equal(one, draw(make_identity(0, "a"), scene, 1))
    assert np.abs(one - draw(make_identity(0, "b"), scene, 1)).mean() > 2
    assert not np.array_equal(one, draw(make_identity(0, "a"), scene, 0))


@pytest.mark.slow
def test_samples_are_real_and_fake_videos_of_the_test_split_whose_face_is_found(tmp_path):
    plans = make_plan(200, 20, seed=0)
    paths = write_samples(tmp_path, plans, count=4, seed=0)
    reals = [path.name.startswith("real") for path in paths]
    assert reals == [True, False, True, False]
    fakes = list(rank(plans, fake=True))
    assert len({plan.method for plan in fakes[:5]}) == 5
    assert {plan.split for plan in fakes} == {"test"}
    info = probe(paths[1])
    assert (info.width, info.height, info.n_frames, info.codec) == (384, 288, 24, "h264")
    detector = make_haar()
    assert all(len(detector(frame).boxes) for frame in read_frames(paths[1], [0, 8, 16]))
    assert sorted(write_samples(tmp_path, plans, count=4, seed=0)) == sorted(paths)
