"""Tests self-blending: equality with the real clip outside the mask, and the mask's shape."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.data.faces.detectors.facemesh import OUTLINE
from dfjax.data.faces.landmarks import FOREHEAD, NOSE, OUTLINE_POINTS
from dfjax.data.transforms import self_blend as module
from dfjax.data.transforms.self_blend import (
    RATIOS,
    _average,
    draw_blend,
    ellipse_supports,
    hull_supports,
    inside,
    make_blend_mask,
    self_blend,
)
from dfjax.data.transforms.self_blend_views import sharpen, shrink

pytestmark = pytest.mark.usefixtures("compiled_quickly")

RNG = jax.random.key(5)
B, T, S = 8, 2, 64
BLEND = jax.jit(self_blend)


def make_batch():
    """Returns each clip without and with `blend`; the second frame of the last clip is padding."""
    rng = np.random.default_rng(0)
    coarse = rng.random((B // 2, T, 8, 8, 3), np.float32)
    image = jax.image.resize(coarse, (B // 2, T, S, S, 3), "linear")
    clip = jnp.round(jnp.repeat(image, 2, axis=0) * 255) / 255
    mask = jnp.ones((B, T), bool).at[-2:, 1].set(False)
    return {
        "clip": jnp.where(mask[:, :, None, None, None], clip, 0.0),
        "mask": mask,
        "video_index": jnp.repeat(jnp.arange(B // 2, dtype=jnp.int32), 2),
        "blend": jnp.arange(B) % 2 == 1,
        "label": (jnp.arange(B) % 2).astype(jnp.int8),
    }


@jax.jit
def draws_of(batch):
    keys = jax.vmap(lambda video: jax.random.fold_in(RNG, video))(batch["video_index"])
    return jax.vmap(lambda key: draw_blend(key, S, S))(keys)


@pytest.fixture(scope="module")
def batch():
    return make_batch()


@pytest.fixture(scope="module")
def blended(batch):
    return BLEND(batch, RNG)


def test_outside_the_mask_a_fake_is_the_view_of_the_real_beside_it(batch, blended):
    part = jax.jit(make_blend_mask)(batch, draws_of(batch)[1])
    real, fake = blended["clip"][::2], blended["clip"][1::2]
    outside = np.asarray(part[1::2] == 0)
    assert 0.3 < outside.mean() < 0.95
    np.testing.assert_array_equal(np.asarray(real)[outside], np.asarray(fake)[outside])
    differ = np.asarray(real != fake).any(axis=(1, 2, 3, 4))
    assert differ.all()
    shown = np.asarray(batch["mask"])[1::2]
    assert not np.asarray(fake)[~shown].any()
    assert blended["label"] is batch["label"] or (blended["label"] == batch["label"]).all()


def test_the_region_is_the_mask_of_what_was_blended(batch, blended):
    given = batch | {"label": batch["label"].at[2].set(1)}  # a fake that is not self-blended
    found = jax.jit(functools.partial(self_blend, region=True))(given, RNG)
    np.testing.assert_allclose(found["clip"], blended["clip"], atol=1e-6)
    region = np.asarray(found["region"])
    assert region.shape == (*batch["clip"].shape[:4], 1)
    assert not region[::2].any() and 0 < region[1::2].max() <= 1
    np.testing.assert_array_equal(found["region_known"], np.arange(len(region)) != 2)
    assert not {"region", "region_known"} & blended.keys()
    stored = np.zeros_like(region)
    stored[2, :, :4] = 1  # of the data set
    given |= {"region": stored, "region_known": np.arange(len(region)) % 2 == 0}
    both = jax.jit(functools.partial(self_blend, region=True))(given, RNG)
    np.testing.assert_allclose(both["region"], region + stored, atol=1e-6)
    assert np.asarray(both["region_known"]).all()


def test_half_of_the_targets_are_changed_whether_blended_or_not(batch, blended):
    of_source = np.asarray(draws_of(batch)[0].of_source)
    same = np.asarray(blended["clip"][::2] == batch["clip"][::2]).all(axis=(1, 2, 3, 4))
    np.testing.assert_array_equal(same, of_source[::2])
    assert {True, False} == set(same.tolist())


def test_values_stay_whole_255ths_in_range(blended):
    levels = np.asarray(blended["clip"]) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    assert 0 <= levels.min() and levels.max() <= 255


def test_frames_of_a_clip_are_changed_alike_and_clips_do_not_depend_on_their_batch(batch):
    still = dict(batch, clip=jnp.repeat(batch["clip"][:, :1], T, axis=1))
    still["mask"] = jnp.ones((B, T), bool)
    clips = np.asarray(BLEND(still, RNG)["clip"])
    np.testing.assert_array_equal(clips[:, 0], clips[:, 1])
    turned = {name: jnp.roll(array, 3, axis=0) for name, array in still.items()}
    np.testing.assert_allclose(
        np.roll(np.asarray(BLEND(turned, RNG)["clip"]), -3, axis=0), clips, atol=1.01 / 255
    )


def test_the_mask_is_soft_connected_and_as_high_as_its_ratio(batch):
    draws = draws_of(batch)[1]
    part = np.asarray(make_blend_mask(batch, draws))
    np.testing.assert_allclose(part.max(axis=(2, 3)), np.repeat(draws.ratio[:, None], T, 1))
    assert set(np.asarray(draws.ratio).tolist()) <= set(RATIOS)
    for mask in part[:, 0]:
        assert cv2.connectedComponents((mask > 0).astype(np.uint8))[0] == 2
        assert ((mask > 0) & (mask < mask.max())).any()


def test_the_hull_of_landmarks_takes_the_place_of_the_ellipse(batch):
    draws = draws_of(batch)[1]
    corner = np.array([[8, 8], [30, 8], [8, 30], [30, 30], [19, 19], [12, 20]], np.float32)
    points = np.broadcast_to(corner, (B, T, 6, 2)).copy()
    points[0, 1] = np.nan  # a frame without: the clip has its ellipse
    points[-1, 1] = np.nan  # padding
    part = np.asarray(make_blend_mask(batch | {"landmarks": jnp.asarray(points)}, draws))
    ellipse = np.asarray(make_blend_mask(batch, draws))
    np.testing.assert_allclose(part[0], ellipse[0], atol=1e-6)
    for clip in part[1:, 0]:
        rows, columns = (np.flatnonzero(clip.any(axis)) for axis in (1, 0))
        assert 2 < rows.min() and rows.max() < 36 and 2 < columns.min() and columns.max() < 36


FLAT = np.array([[20, 30], [44, 30], [20, 34], [44, 34], [32, 32], [30, 33]], np.float32)
SMALL_FACES = {
    "narrower than the window": FLAT,
    "smaller than the window": 31.5 + (FLAT - 32) / 8,
    "at the border": FLAT + [-25, 25],
    "without area": np.repeat(FLAT[:1], 6, axis=0),
    "outside of the crop": FLAT + 100,
}


@pytest.mark.parametrize("points", SMALL_FACES.values(), ids=SMALL_FACES)
def test_no_fake_is_equal_to_its_real_however_small_the_face(batch, points):
    """The widest windows leave no pixel whose window is completely inside the shape."""
    draws = draws_of(batch)[1]._replace(radius=jnp.full((B, 2), 12.0), sides=jnp.full((B, 2), 192))
    marked = batch | {"landmarks": jnp.broadcast_to(jnp.asarray(points), (B, T, 6, 2))}
    part = np.asarray(jax.jit(make_blend_mask)(marked, draws))
    shown = np.asarray(batch["mask"])
    np.testing.assert_allclose(
        part.max(axis=(2, 3))[shown], np.repeat(draws.ratio[:, None], T, 1)[shown], rtol=1e-6
    )
    clip = np.asarray(BLEND(marked, RNG)["clip"])
    differ = (clip[::2] != clip[1::2]).any(axis=(2, 3, 4))
    np.testing.assert_array_equal(differ, shown[::2])


def test_a_narrow_ellipse_keeps_a_part_of_itself(batch):
    draws = draws_of(batch)[1]._replace(
        axes=jnp.broadcast_to(jnp.array([0.02, 0.4]), (B, 2)), radius=jnp.full((B, 2), 12.0)
    )
    part = np.asarray(make_blend_mask(batch, draws))
    np.testing.assert_allclose(part.max(axis=(2, 3)), np.repeat(draws.ratio[:, None], T, 1))
    assert ((part > 0).mean(axis=(2, 3)) < 0.5).all()


def make_oval():
    """Returns the outline of an upright round face, clockwise from the top, and the nose."""
    turn = 2 * np.pi * np.arange(36) / 36
    oval = 31.5 + 20 * np.stack([np.sin(turn), -np.cos(turn)], axis=-1)
    return np.concatenate([oval, [[31.5, 35.0]]]).astype(np.float32)


@pytest.fixture(scope="module")
def extent_of(batch):
    """Returns a function: changes of the draws → first and last row, first and last column."""
    marked = batch | {"landmarks": jnp.broadcast_to(make_oval(), (B, T, 37, 2))}
    still = draws_of(batch)[1]._replace(
        scale=jnp.ones((B, 2)), shift=jnp.zeros((B, 2)), noise=jnp.zeros((B, S, S, 2))
    )
    make = jax.jit(make_blend_mask)

    def extent(**changes):
        part = np.asarray(make(marked, still._replace(**changes))[0, 0])
        rows, columns = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
        return np.array([rows.min(), rows.max(), columns.min(), columns.max()])

    return extent


def test_a_quarter_of_the_hulls_ends_at_the_temples(extent_of):
    points, small = make_oval(), jnp.ones((B, 2))
    whole, without = (
        extent_of(forehead=jnp.full(B, shown), radius=small, sides=jnp.full((B, 2), 224.0))
        for shown in (True, False)
    )
    assert np.abs(whole - [12, 51, 12, 51]).max() <= 2
    assert np.abs(without - [points[5, 1], 51, 12, 51]).max() <= 2, "the first that is kept"
    assert points[[4, 32], 1].max() < points[[5, 31], 1].min(), "all that are left out are above"
    assert len(OUTLINE) == OUTLINE_POINTS and OUTLINE[NOSE] == 1
    above = {10, 338, 297, 332, 284, 54, 103, 67, 109}  # in the numbering of the face mesh
    assert {OUTLINE[place] for place in FOREHEAD} == above
    drawn = jax.vmap(lambda k: draw_blend(k, 1, 1)[1].forehead)(jax.random.split(RNG, 2000))
    assert abs(float(drawn.mean()) - 0.75) < 0.05


def test_lengths_of_the_mask_refer_to_its_own_height_and_width(extent_of):
    radius, forehead = jnp.broadcast_to(jnp.array([12.0, 2.0]), (B, 2)), jnp.ones(B, bool)
    low, wide = (
        extent_of(radius=radius, forehead=forehead, sides=jnp.broadcast_to(sides, (B, 2)))
        for sides in (jnp.array([96.0, 384.0]), jnp.array([384.0, 96.0]))
    )
    np.testing.assert_array_equal(low[[2, 3, 0, 1]], wide)
    assert low[0] - low[2] >= 3 and low[3] - low[1] >= 3, "eroded by 8 rows and 2 columns"


def grid(n):
    x = np.arange(n, dtype=np.float32) - (n - 1) / 2
    return jnp.asarray(np.broadcast_to(x, (1, n, n))), jnp.asarray(
        np.broadcast_to(x[:, None], (1, n, n))
    )


def test_shapes_cover_what_geometry_says():
    x, y = grid(101)
    half = jnp.array([[30.0, 20.0]])
    ellipse = inside(ellipse_supports(jnp.array([[5.0, -3.0]]), half)[:, None], x, y)
    # A polygon of 32 sides around it is larger, and pixels count whole.
    assert abs(float(ellipse.sum()) / (np.pi * 30 * 20) - 1) < 0.02
    at = np.asarray(ellipse[0, 0])
    assert (
        abs(np.average(x[0], weights=at) - 5) < 0.1 and abs(np.average(y[0], weights=at) + 3) < 0.1
    )
    triangle = np.array([[-20, -20], [25, -20], [-20, 30], [-10, -10]], np.float32)
    hull = inside(hull_supports(jnp.asarray(triangle)[None, None], 1.0), x, y)[0, 0]
    drawn = np.zeros((101, 101), np.uint8)
    cv2.fillConvexPoly(drawn, (triangle[:3] + 50).astype(np.int32), 1)
    within = cv2.erode(drawn, np.ones((3, 3))) > 0  # its edge is drawn wide
    assert np.asarray(hull)[within].all()  # a polygon around it
    assert np.asarray(hull).sum() < 1.15 * drawn.sum()
    grown = hull_supports(jnp.asarray(triangle)[None, None], 2.0)
    middle = triangle.mean(axis=0) @ module.directions().T
    np.testing.assert_allclose(
        grown[0, 0] - middle, 2 * ((triangle @ module.directions().T).max(0) - middle), rtol=1e-4
    )


def test_windows_average_as_opencv_does_and_keep_what_erosion_keeps():
    rng = np.random.default_rng(1)
    image = np.zeros((41, 41), np.float32)
    image[10:31, 12:30] = rng.random((21, 18))
    got = _average(
        jnp.asarray(image)[None, None, :, :, None], jnp.array([[4.0, 4.0]]), jnp.array([[7.0, 7.0]])
    )
    np.testing.assert_allclose(got[0, 0, :, :, 0], cv2.GaussianBlur(image, (9, 9), 7), atol=1e-5)
    shape = (image > 0.05).astype(np.float32)
    kept = _average(
        jnp.asarray(shape)[None, None, :, :, None],
        jnp.array([[2.0, 2.0]]),
        jnp.array([[jnp.inf] * 2]),
    )
    np.testing.assert_array_equal(
        np.asarray(kept[0, 0, :, :, 0]) > 1 - 1e-3, cv2.erode(shape, np.ones((5, 5))) > 0
    )


def test_views_are_those_of_opencv():
    rng = np.random.default_rng(2)
    image = rng.random((16, 16, 3), np.float32)
    clips = jnp.asarray(np.stack([image, image]))[:, None]
    kernel = np.full((3, 3), -1, np.float32)
    kernel[1, 1] = 8.75
    expected = np.clip(0.7 * image + 0.3 * cv2.filter2D(image, -1, kernel), 0, 1)
    got = sharpen(clips, jnp.array([0.3, 0.3]), jnp.array([0.75, 0.75]))
    np.testing.assert_allclose(got[0, 0], expected, atol=1e-5)
    got = shrink(clips, jnp.array([0, 1]))
    for by, view in zip((2, 4), got[:, 0]):
        small = cv2.resize(image, (16 // by, 16 // by), interpolation=cv2.INTER_NEAREST)
        expected = cv2.resize(small, (16, 16), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(view, expected, atol=1e-5)
