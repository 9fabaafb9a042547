"""Tests augmentation: distributions of the draws, and their effect on pixels and flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dfjax.data.transforms.augment import (
    apply_draws,
    flip_clips,
    flip_flow,
    make_augment,
    make_maps,
)
from dfjax.data.transforms.augment_draws import draw_operations, draw_per_clip, keep_one
from dfjax.data.transforms.augment_operations import DEVIATION, GEOMETRIC, LIMITED, OPERATIONS
from dfjax.data.transforms.augment_presets import Augmentation, OneOf, choose_augmentation
from dfjax.ops.warp import warp

pytestmark = pytest.mark.usefixtures("compiled_quickly")

FILL = (0.5, 0.4, 0.3)
RANGES = {
    "crop": (0.7, 0.6, 0.9, 0.8, 1.25),
    "rotate": (0.7, -20, 20),
    "zoom": (0.7, 0.8, 1.3),
    "translate": (0.7, -0.2, 0.2),
    "flip": (0.5,),
    "brightness": (0.7, 0.7, 1.3),
    "offset": (0.7, -0.1, 0.1),
    "contrast": (0.7, 0.7, 1.3),
    "saturation": (0.7, 0.5, 1.5),
    "hue": (0.7, -0.2, 0.2),
    "rgb": (0.7, 0.1, 0.2, 0.3),
    "fancy_pca": (0.7, 0.3),
    "hsv": (0.7, 0.1, 0.2, 0.3),
    "blur": (0.7, 0.5, 1.5, 5),
    "rescale": (0.7, 0.4, 0.9),
    "noise": (0.7, 0.01, 0.1),
    "jpeg": (0.7, 30, 90),
    "erase": (0.7, 0.1, 0.3, 0.5, 2.0),
}
GROUP = OneOf(0.8, (("brightness", "offset"), ("fancy_pca",), ("hsv",)))
EVERYTHING = choose_augmentation("none", **RANGES).operations
run = jax.jit(make_augment(Augmentation(EVERYTHING, GROUP), fill=FILL))
key = jax.random.key(7)


@jax.jit
def apply(batch, draws, keys):
    """Applies draws of all operations, as `run` does with its own."""
    return apply_draws(batch, draws, keys, fill=FILL, taps=5)


def make_batch(clips=8, frames=2, size=16, flow=True):
    rng = np.random.default_rng(0)
    batch = {
        "clip": jnp.asarray(rng.random((clips, frames, size, size, 3)), jnp.float32),
        "mask": jnp.ones((clips, frames), bool),
        "label": jnp.zeros(clips, jnp.int8),
    }
    if flow:
        shape = (clips, frames - 1, size, size, 2)
        batch["flow"] = jnp.asarray(rng.normal(size=shape), jnp.float32)
    return batch


def test_the_ranges_above_are_of_every_operation():
    assert list(EVERYTHING) == list(OPERATIONS)


def test_neutral_numbers_give_the_clip_and_its_flow_back():
    batch = make_batch()
    draws = {name: jnp.tile(jnp.array(o.nothing), (8, 1)) for name, o in OPERATIONS.items()}
    keys = jax.random.split(key, 8)
    same = apply(batch, draws, keys)
    np.testing.assert_allclose(same["clip"], batch["clip"], atol=1e-6)
    np.testing.assert_allclose(same["flow"], batch["flow"], atol=1e-5)
    np.testing.assert_array_equal(same["label"], batch["label"])


def test_all_frames_of_a_clip_change_alike():
    batch = make_batch()
    still = batch | {"clip": jnp.repeat(batch["clip"][:, :1], 2, axis=1)}
    silent = {"noise": jnp.tile(jnp.array(OPERATIONS["noise"].nothing), (8, 1))}
    draws = draw_operations(key, EVERYTHING, jnp.arange(8)) | silent
    clip = np.asarray(apply(still, draws, jax.random.split(key, 8))["clip"])
    np.testing.assert_array_equal(clip[:, 1], clip[:, 0])
    assert (np.abs(clip - still["clip"]).max(axis=(1, 2, 3, 4)) > 0.01).all()
    assert clip.min() >= 0 and clip.max() <= 1


def test_a_clip_does_not_depend_on_its_batch():
    batch = make_batch()
    others = {name: value.at[2:].set(value[2:][::-1]) for name, value in batch.items()}
    ours, beside_others = run(batch, key), run(others, key)
    for name in ("clip", "flow"):
        np.testing.assert_array_equal(ours[name][:2], beside_others[name][:2])
    # Operations with keys of their own, in a smaller batch; the others are functions of the draws.
    noise = make_augment(choose_augmentation("none", noise=(1.0, 0.01, 0.1)), fill=FILL)
    noisy, alone = noise(batch, key), noise({name: x[:2] for name, x in batch.items()}, key)
    np.testing.assert_array_equal(noisy["clip"][:2], alone["clip"])
    draws, few = (
        keep_one(key, draw_operations(key, EVERYTHING, n), GROUP, n)
        for n in (jnp.arange(8), jnp.arange(2))
    )
    for name in OPERATIONS:
        np.testing.assert_array_equal(draws[name][:2], few[name])


def test_one_program_for_all_draws():
    before = run._cache_size()
    batch = make_batch()
    first, second = run(batch, key)["clip"], run(batch, jax.random.key(8))["clip"]
    assert run._cache_size() - before <= 1
    assert float(jnp.abs(first - second).max()) > 0.1


def test_what_the_mask_leaves_out_changes_nothing():
    batch = make_batch()
    masked = batch | {"mask": batch["mask"].at[:, -1].set(False)}
    other = masked | {"clip": batch["clip"].at[:, -1].set(1.0)}
    one, two = run(masked, key)["clip"], run(other, key)["clip"]
    np.testing.assert_array_equal(one[:, :-1], two[:, :-1])


def test_eight_devices_draw_and_compute_their_own_clips():
    batch = make_batch()
    mesh = Mesh(np.array(jax.devices()), ("data",))
    split = NamedSharding(mesh, PartitionSpec("data"))
    lowered = run.lower(jax.device_put(batch, split), key)
    compiled = lowered.compile()
    for name in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert name not in compiled.as_text()
    ours, alone = compiled(jax.device_put(batch, split), key), run(batch, key)
    assert ours["clip"].sharding.is_equivalent_to(split, 5)
    # as above: other products, then rounding
    assert (np.abs(ours["clip"] - alone["clip"]) > 1e-5).mean() < 1e-3
    np.testing.assert_allclose(ours["flow"], alone["flow"], atol=1e-5)


RANGED = [n for n, o in OPERATIONS.items() if o.values not in ((), DEVIATION, *LIMITED)]


@pytest.mark.parametrize("name", RANGED)
def test_draws_have_their_probability_and_range(name):
    values = EVERYTHING[name]
    drawn = np.asarray(
        jax.jit(lambda k: draw_operations(k, {name: values}, jnp.arange(2000)))(key)[name]
    )
    left_out = (drawn == np.array(OPERATIONS[name].nothing)).all(axis=1)
    assert abs(left_out.mean() - 0.3) < 0.05  # 5 standard deviations
    first = drawn[~left_out, 0]
    low, high = values[1:3]
    assert low <= first.min() < low + 0.02 * (high - low)
    assert high >= first.max() > high - 0.02 * (high - low)
    assert abs(first.mean() - (low + high) / 2) < 0.05 * (high - low)
    if name in ("crop", "erase"):
        ratio = np.log(drawn[~left_out, 1])
        assert np.log(values[3]) <= ratio.min() and ratio.max() <= np.log(values[4]) + 1e-6
        assert 0 <= drawn[:, 2:].min() and drawn[:, 2:].max() < 1
    if name == "translate":
        assert abs(np.corrcoef(drawn[~left_out].T)[0, 1]) < 0.15  # x and y for themselves


def test_deviations_and_limits_are_drawn_as_they_say():
    limits = (0.7, 0.1, 0.2, 0.3)
    shifts = {"fancy_pca": (1.0, 0.3), "hsv": limits, "rgb": limits}
    draws = jax.jit(lambda k: draw_operations(k, shifts, jnp.arange(2000)))(key)
    normal, *limited = (np.asarray(draws[name]) for name in shifts)
    assert abs(normal.std() - 0.3) < 0.025 and abs(normal.mean()) < 0.035  # 5 standard errors
    assert 0.8 < np.abs(normal).max() < 1.6  # 2.7 to 5.3 deviations: not a uniform range
    for values in limited:
        drawn = values[(values != 0).any(axis=1)]
        assert abs(len(drawn) / 2000 - 0.7) < 0.05
        assert (np.abs(drawn).max(axis=0) <= [0.1, 0.2, 0.3]).all()
        width = drawn.max(axis=0) - drawn.min(axis=0)
        np.testing.assert_allclose(width, [0.2, 0.4, 0.6], rtol=0.02)
        assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.15


def test_red_green_and_blue_are_shifted_each_by_its_own_number():
    batch = make_batch(clips=2)
    draws = {"rgb": jnp.array([[0.1, -0.2, 0.3], [0.0, 0.0, 0.0]])}
    clip = apply(batch, draws, jax.random.split(key, 2))["clip"]
    shifted = np.clip(batch["clip"][0] + np.array([0.1, -0.2, 0.3]), 0, 1)
    np.testing.assert_allclose(clip, [shifted, batch["clip"][1]], atol=1e-6)


def test_a_clip_gets_at_most_one_alternative_of_a_group():
    always = {
        name: (1.0, *EVERYTHING[name][1:]) for name in ("rotate", *sum(GROUP.alternatives, ()))
    }
    places = jnp.arange(3000)
    draws = jax.jit(lambda k: keep_one(k, draw_operations(k, always, places), GROUP, places))(key)
    changed = {
        name: (np.asarray(values) != np.array(OPERATIONS[name].nothing)).any(axis=1)
        for name, values in draws.items()
    }
    assert changed["rotate"].all(), "what is not in the group is drawn as ever"
    np.testing.assert_array_equal(changed["brightness"], changed["offset"])
    three = np.stack([changed[name] for name in ("brightness", "fancy_pca", "hsv")])
    assert three.sum(axis=0).max() == 1
    share = 0.8 / 3
    assert np.abs(three.mean(axis=1) - share).max() < 5 * np.sqrt(share * (1 - share) / 3000)


def test_a_self_blended_clip_is_augmented_like_the_real_clip_before_it():
    batch = make_batch()
    pairs = {name: jnp.repeat(value[::2], 2, axis=0) for name, value in batch.items()}
    some = choose_augmentation(
        "none", flip=(0.5,), brightness=(1.0, 0.5, 0.9), noise=(1.0, 0.01, 0.1)
    )
    augment = make_augment(some, fill=FILL)
    marks = {"blend": jnp.arange(8) % 2 == 1, "video_index": jnp.arange(8) // 2}
    shared = augment(pairs | marks, key)["clip"]
    np.testing.assert_array_equal(shared[::2], shared[1::2])
    own = augment(pairs, key)["clip"]
    others = augment(pairs | marks | {"video_index": jnp.arange(8)}, key)["clip"]
    np.testing.assert_array_equal(own, others)  # blended clips of other videos
    np.testing.assert_array_equal(own[::2], shared[::2])
    assert np.asarray(own[::2] != own[1::2]).any(axis=(1, 2, 3, 4)).all()


def test_flip_alone_moves_whole_pixels():
    batch = make_batch(clips=16)
    flipped = draw_per_clip(key, 0.5, jnp.arange(16))
    assert 2 < int(flipped.sum()) < 14
    ours = make_augment(Augmentation({"flip": (0.5,)}), fill=FILL)(batch, key)
    np.testing.assert_array_equal(ours["clip"], flip_clips(batch["clip"], flipped))
    np.testing.assert_array_equal(ours["flow"], flip_flow(batch["flow"], flipped))


def draws_of(**numbers):
    return {name: jnp.array([values], jnp.float32) for name, values in numbers.items()}


def test_maps_by_hand():
    ramp = jnp.tile(jnp.arange(16.0), (16, 1))  # value = x
    picture = jnp.stack([ramp, ramp.T], -1)[None]  # (x, y) of each pixel

    neutral = draws_of(**{name: OPERATIONS[name].nothing for name in GEOMETRIC})
    sample = jax.jit(lambda draws: warp(picture, make_maps(draws, (16, 16))))

    def seen(**numbers):
        return np.asarray(sample(neutral | draws_of(**numbers)))[0, 8, 8]

    np.testing.assert_allclose(seen(flip=[1.0]), [7, 8], atol=1e-5)
    # a quarter to the right and an eighth down: what was 4 px left of and 2 px above is here now
    np.testing.assert_allclose(seen(translate=[0.25, 0.125]), [4, 6], atol=1e-5)
    np.testing.assert_allclose(seen(zoom=[2.0]), [7.75, 7.75], atol=1e-5)
    # a quarter of the area at the left edge and the bottom: x from 0 to 8, y from 8 to 16
    np.testing.assert_allclose(seen(crop=[0.25, 1.0, 0.0, 1.0]), [3.75, 11.75], atol=1e-5)
    np.testing.assert_allclose(seen(rotate=[90.0]), [7, 8], atol=1e-5)


def test_flow_of_a_turning_picture_through_the_whole_augmentation():
    """Rotation, zoom and reflection keep the flow of an expansion and negate that of a rotation."""
    y, x = np.mgrid[:21, :21] - 10.0
    turning = jnp.asarray(0.1 * np.stack([-y, x], -1), jnp.float32)[None, None]
    growing = jnp.asarray(0.1 * np.stack([x, y], -1), jnp.float32)[None, None]
    batch = {"clip": jnp.zeros((1, 2, 21, 21, 3)), "mask": jnp.ones((1, 2), bool)}
    keys = jax.random.split(key, 1)
    draws = draws_of(rotate=[20.0], zoom=[1.2], flip=[1.0])
    change = jax.jit(lambda b: apply_draws(b, draws, keys, fill=FILL, taps=1))
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    turned = change(batch | {"flow": turning})["flow"]
    np.testing.assert_allclose(turned[inner], -turning[inner], atol=1e-5)
    grown = change(batch | {"flow": growing})["flow"]
    np.testing.assert_allclose(grown[inner], growing[inner], atol=1e-5)


def test_one_sampling_for_all_geometry():
    geometric = {name: EVERYTHING[name] for name in GEOMETRIC}
    traced = str(
        jax.make_jaxpr(make_augment(Augmentation(geometric), fill=FILL))(
            make_batch(flow=False), key
        )
    )
    assert traced.count(" gather[") == 4  # the four neighbours of each place


def test_nothing_to_do_is_none():
    assert make_augment(Augmentation({}), fill=FILL) is None


@pytest.mark.parametrize(
    "operations",
    [{"flip": (0.5,)}, {"flip": (0.5,), "rotate": (1.0, -30, 30), "translate": (1.0, -0.2, 0.2)}],
)
def test_a_region_moves_with_the_pixels(operations):
    """Frames that show their region have, after augmentation, the frames' values in it."""
    rng = np.random.default_rng(0)
    region = jnp.asarray(rng.random((8, 2, 12, 12, 1), np.float32))
    batch = {"clip": jnp.repeat(region, 3, -1), "region": region, "mask": jnp.ones((8, 2), bool),
             "video_index": jnp.arange(8)}  # fmt: skip
    augment = make_augment(Augmentation(operations), fill=(0.0, 0.0, 0.0))
    changed = jax.jit(augment)(batch, jax.random.key(0))
    np.testing.assert_allclose(changed["region"][..., 0], changed["clip"][..., 1], atol=1e-6)
    assert np.abs(np.asarray(changed["region"] - region)).max() > 0.1
