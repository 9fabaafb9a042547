"""Tests the presets of augmentation, overrides from the command line, and invalid values."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.data.transforms.augment import make_augment
from dfjax.data.transforms.augment_operations import (
    OPERATIONS,
    describe_range,
    spread_values,
)
from dfjax.data.transforms.augment_presets import (
    PRESETS,
    Augmentation,
    OneOf,
    choose_augmentation,
)
from dfjax.errors import UsageError


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_in_the_order_of_application(preset):
    chosen = choose_augmentation(preset)
    assert chosen == PRESETS[preset]
    assert list(chosen.operations) == [name for name in OPERATIONS if name in chosen.operations]


def test_published_numbers():
    erase, crop = (PRESETS[name].operations for name in ("jitter_erase", "crop_jitter"))
    assert erase["flip"] == (0.5,) and erase["rotate"][1:] == (-15, 15)
    assert all(erase[name][1:] == (0.8, 1.2) for name in ("brightness", "contrast", "saturation"))
    assert erase["hue"][1:] == (-0.1, 0.1) and erase["translate"][1:] == (-0.05, 0.05)
    assert erase["blur"] == (1.0, 0.1, 2.0, 3) and erase["erase"][0] == 0.1
    assert crop["rotate"][1:] == (-5, 5) and "crop" in crop and "blur" in crop
    assert crop["brightness"][1:] == crop["contrast"][1:] == (0.8, 1.2)
    assert set(PRESETS["affine_brightness"].operations) == {
        "rotate", "translate", "zoom", "brightness",
    }  # fmt: skip
    assert PRESETS["flip"].operations == {"flip": (0.5,)}


def test_numbers_of_deepfakebench():
    bench, group = PRESETS["deepfakebench"]
    assert bench["rotate"] == (0.5, -10, 10) and bench["jpeg"] == (0.5, 40, 100)
    assert bench["offset"] == (1.0, -0.1, 0.1) and bench["brightness"] == (1.0, 0.9, 1.1)
    assert bench["fancy_pca"] == (1.0, 0.1)
    assert bench["hsv"] == (1.0, 20 / 180, 30 / 255, 20 / 255)
    assert group == OneOf(0.5, (("brightness", "offset"), ("fancy_pca",), ("hsv",)))
    # OpenCV: sigma = 0.3 ((taps - 1) / 2 - 1) + 0.8
    assert bench["blur"][1:] == (0.3 * 0 + 0.8, pytest.approx(0.3 * 2 + 0.8), 7)


def test_a_config_has_a_key_for_every_operation():
    config = load_config("two_stream_flow")
    assert set(config.augment) == {"preset", "one_of", *OPERATIONS}
    assert choose_augmentation(**config.augment) == PRESETS["none"]


def test_overrides_from_the_command_line():
    overrides = (
        "preset=jitter_erase",
        "rotate=0.5,-3,3",
        "flip=0,",
        "erase=(0.2,)",
        "jpeg=1,40,60",
    )
    config = load_config("dual_stream", [f"augment.{item}" for item in overrides])
    chosen = choose_augmentation(**config.augment).operations
    assert "flip" not in chosen
    assert chosen["rotate"] == (0.5, -3, 3)
    assert chosen["erase"] == (0.2, *PRESETS["jitter_erase"].operations["erase"][1:])
    assert chosen["jpeg"] == (1.0, 40, 60) and all(type(n) is float for n in chosen["jpeg"])
    assert chosen["hue"] == PRESETS["jitter_erase"].operations["hue"]


def test_groups_from_the_command_line():
    def group(*items):
        config = load_config("dual_stream", [f"augment.{item}" for item in items])
        return choose_augmentation(**config.augment).one_of

    bench = "preset=deepfakebench"
    assert group("preset=none") is None and group(bench) == PRESETS["deepfakebench"].one_of
    assert group(bench, "one_of=0,") is None
    assert group(bench, "hsv=0,") == OneOf(0.5, (("brightness", "offset"), ("fancy_pca",)))
    own = group("preset=jitter_erase", "one_of=(0.3, 'hue', ('blur', 'erase'))")
    assert own == OneOf(0.3, (("hue",), ("blur", "erase")))


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("crop_jiter", {}, "crop_jitter"),
        ("jitter_erase", {"rotat": (1.0,)}, "rotate"),
        ("none", {"rotate": (0.5,)}, "give probability, lowest, highest"),
        ("none", {"flip": (0.5, 1.0)}, "give probability"),
        ("none", {"flip": (1.5,)}, "not in"),
        ("none", {"rotate": (1.0, 5.0, -5.0)}, "ascend"),
        ("none", {"jpeg": (1.0, 0.0, 50.0)}, "1 to 100 quality"),
        ("none", {"rescale": (1.0, 0.5, 1.5)}, "ascend"),
        ("none", {"contrast": (1.0, 0.5, float("inf"))}, "ascend"),
        ("none", {"crop": (1.0, 0.5, 1.0, 0.0, 1.0)}, "ratios"),
        ("none", {"blur": (1.0, 0.5, 1.0, 4)}, "odd"),
        ("none", {"fancy_pca": (1.0, -0.1)}, "standard deviation must be within 0 to 10"),
        ("none", {"hsv": (1.0, 0.1, 0.1, 2.0)}, "largest value shift must be within 0 to 1"),
        ("none", {"hsv": (1.0, 0.1)}, "largest saturation shift"),
        ("none", {"one_of": (1.5, "hsv")}, "probability"),
        ("none", {"one_of": ("hsv", "blur")}, "probability"),
        ("none", {"one_of": (0.5, "hvs")}, "Did you mean 'hsv'"),
        ("none", {"one_of": (0.5, "hsv", ("hsv", "blur"))}, "twice"),
    ],
)
def test_impossible_numbers_are_wrong_usage(preset, overrides, message):
    with pytest.raises(UsageError, match=message):
        choose_augmentation(preset, **overrides)


def test_ranges_in_words():
    preset = PRESETS["jitter_erase"].operations
    assert describe_range("flip", (0.5,)) == "p 0.5"
    assert describe_range("rotate", preset["rotate"]) == "-15 … 15 degrees, always"
    assert "3 taps" in describe_range("blur", preset["blur"])
    assert describe_range("erase", preset["erase"]).endswith("ratio 0.3 … 3.3, p 0.1")
    assert describe_range("fancy_pca", (1.0, 0.1)) == "standard deviation 0.1, always"
    assert "largest saturation shift 0.118" in describe_range("hsv", (0.5, 0.1, 30 / 255, 0.1))


def test_examples_go_through_the_range():
    assert spread_values("rotate", (1.0, -10, 10), 5) == [(-10,), (-5,), (0,), (5,), (10,)]
    assert spread_values("translate", (1.0, 0.0, 0.1), 2) == [(0.0, 0.0), (0.1, 0.1)]
    assert spread_values("flip", (0.5,), 2) == [(0,), (1,)]
    boxes = spread_values("crop", (1.0, 0.5, 1.0, 0.5, 2.0), 3)
    assert boxes == [(0.5, 0.5, 0.0, 0.0), (0.75, 1.0, 0.5, 0.0), (1.0, 2.0, 1.0, 0.0)]
    assert len(spread_values("hue", (1.0, -0.1, 0.1), 1)) == 1
    assert spread_values("fancy_pca", (1.0, 0.1), 3) == [(-0.2,), (0.0,), (0.2,)]
    assert spread_values("hsv", (1.0, 0.1, 0.2, 0.3), 2) == [(-0.1, -0.2, -0.3), (0.1, 0.2, 0.3)]


@pytest.mark.parametrize("preset", PRESETS)
def test_examples_are_what_could_be_drawn(preset):
    for name, values in PRESETS[preset].operations.items():
        for example in spread_values(name, values, 4):
            assert len(example) == len(OPERATIONS[name].nothing)
            if len(values) > 2 and name not in ("hsv", "rgb"):
                assert values[1] <= example[0] <= values[2] + 1e-9


def test_colours_change_as_much_as_in_deepfakebench():
    """The mean absolute change over many draws equals that of OpenCV and NumPy within 5 %."""
    rng = np.random.default_rng(0)
    picture = draw_picture(rng, side=24)
    reference = np.mean([np.abs(bench_colours(picture, rng) - picture).mean() for _ in range(4000)])
    bench, group = PRESETS["deepfakebench"]
    colours = Augmentation(
        {n: bench[n] for n in ("brightness", "offset", "fancy_pca", "hsv")}, group
    )
    clips = jnp.broadcast_to(jnp.asarray(picture / 255, jnp.float32), (4000, 1, 24, 24, 3))
    batch = {"clip": clips, "mask": jnp.ones((4000, 1), bool)}
    changed = jax.jit(make_augment(colours, fill=(0.0, 0.0, 0.0)))(batch, jax.random.key(0))["clip"]
    ours = 255 * float(jnp.abs(changed - clips).mean())
    assert ours == pytest.approx(reference, rel=0.05)


def draw_picture(rng, side):
    """Returns an image with the colours of skin, lit from one side, u8."""
    y, x = np.mgrid[:side, :side] / side
    light = 0.35 + 0.9 * x * (1 - 0.5 * y)
    noise = rng.normal(0, 8, (side, side, 3))
    return (light[..., None] * [190, 140, 115] + noise).clip(0, 255).astype(np.uint8)


def bench_colours(picture, rng):
    """Returns a u8 image after DeepfakeBench's group, computed as in albumentations 1.1.0."""
    kind = rng.integers(3) if rng.random() < 0.5 else None
    values = picture.astype(np.float64)
    if kind == 0:
        values = values * rng.uniform(0.9, 1.1) + 255 * rng.uniform(-0.1, 0.1)
    elif kind == 1:
        variances, axes = np.linalg.eigh(np.cov(values.reshape(-1, 3) / 255, rowvar=False))
        values = values + 255 * axes @ (rng.normal(0, 0.1) * variances)
    elif kind == 2:
        hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(np.float64)
        hsv += rng.uniform(-1, 1, 3) * [20, 30, 20]
        hsv[..., 0] %= 180
        hsv = hsv.clip(0, 255).astype(np.uint8)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float64)
    return np.floor(values.clip(0, 255))
