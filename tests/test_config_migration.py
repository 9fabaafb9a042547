"""Configs saved by earlier versions load with today's names."""

import json

import pytest

from dfjax.config import base, from_dict, to_json
from dfjax.config_migration import AUGMENT_PRESETS, EARLIER_ADAPTED, EARLIER_DEEPFAKEBENCH, migrate
from dfjax.data.transforms.augment_presets import PRESETS, choose_augmentation


@pytest.mark.parametrize("earlier", AUGMENT_PRESETS)
def test_an_earlier_name_of_a_preset_loads_as_todays(earlier):
    values = json.loads(to_json(base()))
    values["augment"]["preset"] = earlier
    config = from_dict(values)
    assert config.augment.preset == AUGMENT_PRESETS[earlier]
    assert config.augment.preset in PRESETS
    assert values["augment"]["preset"] == earlier, "the caller's dict stays as it is"


def test_a_run_of_the_earlier_deepfakebench_preset_keeps_its_operations():
    values = json.loads(to_json(base()))
    values["augment"] |= {"preset": "deepfakebench", "rotate": [0.2], "jpeg": [1.0, 30.0, 50.0]}
    today = from_dict(values)
    assert today.augment.preset == "deepfakebench"
    for name in ("one_of", "hsv", "fancy_pca"):
        del values["augment"][name]
    earlier = from_dict(values)
    chosen = choose_augmentation(**earlier.augment)
    assert chosen.one_of is None and set(chosen.operations) == set(EARLIER_DEEPFAKEBENCH)
    assert chosen.operations["offset"] == (0.5, -0.1, 0.1)
    assert chosen.operations["rotate"] == (0.2, -10, 10)
    assert chosen.operations["jpeg"] == (1.0, 30, 50)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bce", {"smoothing": 0.1}),
        ("focal", {"smoothing": 0.1, "gamma": 3.0, "alpha": 0.25}),
        ("supcon", {"temperature": 0.5}),
    ],
)
def test_options_that_stood_beside_the_name_of_a_loss_go_to_its_section(name, options):
    values = json.loads(to_json(base()))
    today = values["loss"]
    flat = {"smoothing": 0.1, "gamma": 3.0, "alpha": 0.25, "temperature": 0.5}
    kept = {key: today[key] for key in ("class_weights", "temporal", "method")}
    values["loss"] = kept | flat | {"name": name}
    loss = from_dict(values).loss.to_dict()
    assert loss.pop("name") == name
    assert loss.pop(name) == options
    assert loss == {key: value for key, value in today.items() if key not in ("name", name)}


def test_truth_values_of_remat_are_names_of_policies():
    values = json.loads(to_json(base()))
    values["model"]["dual_stream"]["remat"] = True
    values["model"]["frame_classifier"]["remat"] = False
    config = from_dict(values)
    assert config.model.dual_stream.remat == "all"
    assert config.model.frame_classifier.remat == "none"


def test_todays_config_stays_as_it_is():
    values = json.loads(to_json(base()))
    assert migrate(values) == values
    assert migrate({}) == {}


@pytest.mark.parametrize(
    ("adapter", "model", "backbone", "narrowed"),
    [("none", "clip_detector", "b0", True), ("lora", "frame_classifier", "clip_b16", True)]
    + [("lora", "clip_detector", "clip_b16", False), ("lora", "frame_classifier", "my:Net", False)],
)
def test_the_earlier_default_of_adapted_kernels_is_todays_where_both_are_equal(
    adapter, model, backbone, narrowed
):
    today = base().adapter.kernels
    values = json.loads(to_json(base()))
    values["model"]["name"] = model
    values["model"]["frame_classifier"]["backbone"] = backbone
    values["adapter"] |= {"name": adapter, "kernels": list(EARLIER_ADAPTED)}
    assert from_dict(values).adapter.kernels == (today if narrowed else EARLIER_ADAPTED)
    values["adapter"]["kernels"] = ["query/kernel$"]
    assert from_dict(values).adapter.kernels == ("query/kernel$",)
