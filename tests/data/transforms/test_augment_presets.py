"""The presets' numbers, overrides from the command line, and what is refused."""

import pytest

from dfjax.config import load_config
from dfjax.data.transforms.augment_presets import (
    OPERATIONS,
    PRESETS,
    choose_operations,
    describe_range,
    spread_values,
)
from dfjax.errors import UsageError


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_in_the_order_of_application(preset):
    chosen = choose_operations(preset)
    assert chosen == PRESETS[preset]
    assert list(chosen) == [name for name in OPERATIONS if name in chosen]


def test_published_numbers():
    erase, crop, bench = (PRESETS[n] for n in ("jitter_erase", "crop_jitter", "deepfakebench"))
    assert erase["flip"] == (0.5,) and erase["rotate"][1:] == (-15, 15)
    assert all(erase[name][1:] == (0.8, 1.2) for name in ("brightness", "contrast", "saturation"))
    assert erase["hue"][1:] == (-0.1, 0.1) and erase["translate"][1:] == (-0.05, 0.05)
    assert erase["blur"] == (1.0, 0.1, 2.0, 3) and erase["erase"][0] == 0.1
    assert crop["rotate"][1:] == (-5, 5) and "crop" in crop and "blur" in crop
    assert crop["brightness"][1:] == crop["contrast"][1:] == (0.8, 1.2)
    assert bench["rotate"] == (0.5, -10, 10) and bench["jpeg"][1:] == (40, 100)
    assert bench["offset"][1:] == (-0.1, 0.1) and bench["brightness"][1:] == (0.9, 1.1)
    # OpenCV: sigma = 0.3 ((taps - 1) / 2 - 1) + 0.8
    assert bench["blur"][1:] == (0.3 * 0 + 0.8, pytest.approx(0.3 * 2 + 0.8), 7)
    assert set(PRESETS["affine_brightness"]) == {"rotate", "translate", "zoom", "brightness"}
    assert PRESETS["flip"] == {"flip": (0.5,)}


def test_a_config_has_a_key_for_every_operation():
    config = load_config("two_stream_flow")
    assert set(config.augment) == {"preset", *OPERATIONS}
    assert choose_operations(**config.augment) == PRESETS["flip"]


def test_overrides_from_the_command_line():
    overrides = (
        "preset=jitter_erase",
        "rotate=0.5,-3,3",
        "flip=0,",
        "erase=(0.2,)",
        "jpeg=1,40,60",
    )
    config = load_config("dual_stream", [f"--config.augment.{item}" for item in overrides])
    chosen = choose_operations(**config.augment)
    assert "flip" not in chosen
    assert chosen["rotate"] == (0.5, -3, 3)
    assert chosen["erase"] == (0.2, *PRESETS["jitter_erase"]["erase"][1:])
    assert chosen["jpeg"] == (1.0, 40, 60) and all(type(n) is float for n in chosen["jpeg"])
    assert chosen["hue"] == PRESETS["jitter_erase"]["hue"]


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
    ],
)
def test_impossible_numbers_are_wrong_usage(preset, overrides, message):
    with pytest.raises(UsageError, match=message):
        choose_operations(preset, **overrides)


def test_ranges_in_words():
    preset = PRESETS["jitter_erase"]
    assert describe_range("flip", (0.5,)) == "p 0.5"
    assert describe_range("rotate", preset["rotate"]) == "-15 … 15 degrees, always"
    assert "3 taps" in describe_range("blur", preset["blur"])
    assert describe_range("erase", preset["erase"]).endswith("ratio 0.3 … 3.3, p 0.1")


def test_examples_go_through_the_range():
    assert spread_values("rotate", (1.0, -10, 10), 5) == [(-10,), (-5,), (0,), (5,), (10,)]
    assert spread_values("translate", (1.0, 0.0, 0.1), 2) == [(0.0, 0.0), (0.1, 0.1)]
    assert spread_values("flip", (0.5,), 2) == [(0,), (1,)]
    boxes = spread_values("crop", (1.0, 0.5, 1.0, 0.5, 2.0), 3)
    assert boxes == [(0.5, 0.5, 0.0, 0.0), (0.75, 1.0, 0.5, 0.0), (1.0, 2.0, 1.0, 0.0)]
    assert len(spread_values("hue", (1.0, -0.1, 0.1), 1)) == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_examples_are_what_could_be_drawn(preset):
    for name, values in PRESETS[preset].items():
        for example in spread_values(name, values, 4):
            assert len(example) == len(OPERATIONS[name].nothing)
            assert name == "flip" or values[1] <= example[0] <= values[2] + 1e-9
