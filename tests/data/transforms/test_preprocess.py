"""Tests preprocessing: resizing of streams, normalisation, flips and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.data.transforms.augment import flip_clips, make_augment
from dfjax.data.transforms.augment_draws import draw_per_clip
from dfjax.data.transforms.augment_presets import Augmentation
from dfjax.data.transforms.preprocess import make_pair_preprocess, make_preprocess
from dfjax.errors import UsageError
from dfjax.ops.noise_residual import srm_residual
from dfjax.ops.spectrum import phase_image

MEAN, STD = (0.5, 0.25, 0.0), (0.5, 0.25, 2.0)
rng = np.random.default_rng(0)


def make_batch(clips=3, frames=2, size=8):
    clip = rng.integers(0, 256, (clips, frames, size, size, 3), dtype=np.uint8)
    mask = np.ones((clips, frames), bool)
    mask[-1, -1] = False
    return {"clip": jnp.asarray(clip), "mask": jnp.asarray(mask)}


def make(streams, flip=0.0):
    augment = make_augment(Augmentation({"flip": (flip,)} if flip else {}), fill=MEAN)
    return make_preprocess(streams, mean=MEAN, std=STD, augment=augment)


def test_same_size_is_only_normalised():
    batch = make_batch()
    inputs = make({"hq": 8})(batch, None, train=False)
    expected = (np.asarray(batch["clip"]) / 255.0 - np.array(MEAN)) / np.array(STD)
    assert inputs["hq"].dtype == jnp.float32
    np.testing.assert_allclose(inputs["hq"], expected, atol=1e-6)
    np.testing.assert_array_equal(inputs["mask"], batch["mask"])


def test_views_are_computed_from_pixel_values():
    """They are those of the stored pixels exactly, not of normalised ones."""
    batch = make_batch(size=9)
    views = make_preprocess({"rgb": 9}, mean=MEAN, std=STD, views=("srm", "phase"))
    inputs = jax.jit(lambda b: views(b, None, train=False))(batch)
    assert set(inputs) == {"rgb", "srm", "phase", "mask"}
    pixels = batch["clip"].astype(jnp.float32)
    np.testing.assert_allclose(inputs["srm"], jax.jit(srm_residual)(pixels), atol=1e-4)
    np.testing.assert_allclose(inputs["phase"], jax.jit(phase_image)(pixels), atol=1e-4)
    same = np.round(np.asarray(inputs["rgb"] * np.array(STD) + np.array(MEAN)) * 255, 3)
    np.testing.assert_array_equal(same, pixels)


def test_views_are_those_of_the_resized_frames():
    batch = make_batch(size=12)
    views = make_preprocess({"rgb": 6}, mean=(0.0,) * 3, std=(1.0,) * 3, views=("srm",))
    inputs = jax.jit(lambda b: views(b, None, train=False))(batch)
    assert inputs["srm"].shape == (3, 2, 6, 6, 3)
    expected = jax.jit(srm_residual)(255 * inputs["rgb"])
    np.testing.assert_allclose(inputs["srm"], expected, atol=1e-4)


def test_second_stream_is_the_first_down_sampled_by_hand():
    batch = make_batch(clips=1, frames=1, size=4)
    inputs = make({"hq": 4, "lq": 2})(batch, None, train=False)
    weights = np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7  # triangle of half-width 2, cut and summed
    image = np.asarray(batch["clip"][0, 0]) / 255.0
    small = np.einsum("yh,hwc,xw->yxc", weights, image, weights)
    np.testing.assert_allclose(inputs["lq"][0, 0], (small - MEAN) / STD, atol=1e-6)


def test_second_stream_sees_no_more_than_the_first():
    # a stripe pattern that the first stream averages away is gone in the second, whatever its size
    clip = np.zeros((1, 1, 16, 16, 3), np.uint8)
    clip[:, :, :, ::2] = 200
    batch = {"clip": jnp.asarray(clip), "mask": jnp.ones((1, 1), bool)}
    inputs = make({"hq": 4, "lq": 4})(batch, None, train=False)
    np.testing.assert_array_equal(inputs["hq"], inputs["lq"])


def test_flip_is_one_draw_for_all_frames_of_a_clip():
    batch = make_batch(clips=32, frames=3, size=4)
    plain = np.asarray(make({"hq": 4})(batch, None, train=False)["hq"])
    inputs = jax.jit(lambda b, k: make({"hq": 4}, flip=0.5)(b, k, train=True))(
        batch, jax.random.key(1)
    )
    got = np.asarray(inputs["hq"])
    flipped = [np.allclose(g, p[:, :, ::-1], atol=1e-6) for g, p in zip(got, plain)]
    kept = [np.allclose(g, p, atol=1e-6) for g, p in zip(got, plain)]
    assert all(f != k for f, k in zip(flipped, kept))
    assert 4 < sum(flipped) < 28


def test_flipping_twice_gives_the_clip_back():
    clip = make_batch()["clip"]
    yes = jnp.array([True, False, True])
    np.testing.assert_array_equal(flip_clips(flip_clips(clip, yes), yes), clip)


def test_draws_follow_the_place_in_the_batch_not_its_size():
    key, many = jax.random.key(3), jnp.arange(4000)
    few = draw_per_clip(key, 0.5, many[:10])
    np.testing.assert_array_equal(draw_per_clip(key, 0.5, many)[:10], few)
    assert draw_per_clip(key, 1.0, many).all() and not draw_per_clip(key, 0.0, many).any()
    assert abs(float(draw_per_clip(key, 0.3, many).mean()) - 0.3) < 0.03  # 4 standard deviations


def test_evaluation_draws_nothing():
    batch = make_batch()
    preprocess = make({"hq": 8, "lq": 4}, flip=1.0)
    a = preprocess(batch, None, train=False)
    b = preprocess(batch, jax.random.key(0), train=False)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
    with pytest.raises(ValueError, match="rng"):
        preprocess(batch, None, train=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"streams": {}},
        {"streams": {"hq": 64, "lq": 112}},
        {"std": (1.0, 0.0, 1.0)},
    ],
)
def test_impossible_settings_are_refused(arguments):
    settings = {"streams": {"hq": 8}, "mean": MEAN, "std": STD} | arguments
    with pytest.raises(UsageError):
        make_preprocess(settings.pop("streams"), **settings)


def test_both_clips_of_a_pair_are_augmented_alike():
    operations = {"rotate": (1.0, -20.0, 20.0), "flip": (0.5,), "brightness": (1.0, 0.5, 1.5)}
    augment = make_augment(Augmentation(operations), fill=(0.5,) * 3)
    single = make_preprocess({"rgb": 8}, mean=(0.5,) * 3, std=(0.5,) * 3, augment=augment)
    batch = make_batch(clips=4, frames=2)
    batch["mask"] = jnp.ones((4, 2), bool)
    batch |= {"source": batch["clip"], "flow": jnp.ones((4, 1, 8, 8, 2), jnp.float16)}
    batch["position"] = jnp.array([[0, 1]] * 4)
    key = jax.random.key(3)
    pair = jax.jit(lambda b: make_pair_preprocess(single)(b, key, train=True))(batch)
    assert set(pair) == {"source", "target", "mask", "flow", "flow_known"}
    np.testing.assert_array_equal(pair["source"], pair["target"])
    alone = jax.jit(lambda b: single(b, key, train=True))(batch)
    np.testing.assert_allclose(pair["target"], alone["rgb"], atol=1e-6)
    np.testing.assert_array_equal(pair["flow"], alone["flow"])
    other = batch | {"source": 255 - batch["clip"]}
    changed = jax.jit(lambda b: make_pair_preprocess(single)(b, key, train=False))(other)
    np.testing.assert_allclose(changed["source"], -changed["target"], atol=1e-6)


def test_flow_across_a_missing_frame_is_not_known():
    single = make_preprocess({"rgb": 8}, mean=(0.5,) * 3, std=(0.5,) * 3)
    batch = make_batch(clips=1, frames=4)
    batch |= {"source": batch["clip"], "flow": jnp.zeros((1, 3, 8, 8, 2), jnp.float16)}
    batch["position"] = jnp.array([[6, 9, 15, -1]])
    pair = make_pair_preprocess(single, stride=3)(batch, None, train=False)
    assert pair["flow_known"].tolist() == [[True, False, False]]
