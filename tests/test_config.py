import json

import pytest
import yaml

from dfjax import config as config_module
from dfjax.config import (
    base,
    config_names,
    differences,
    find_config,
    from_dict,
    load_config,
    override,
    to_json,
    to_yaml,
)
from dfjax.errors import UsageError


def test_the_schema_is_locked():
    config = base()
    with pytest.raises((AttributeError, KeyError)):
        config.optimizer.learning_rat = 1.0
    with pytest.raises((AttributeError, KeyError)):
        config.new_section = 1
    assert base().is_locked


def test_overrides_are_typed_and_reach_nested_keys():
    config = load_config(
        "dual_stream:smoke",
        ["optimizer.learning_rate=0.5", "data.holdout_methods=('blend',)"],
    )
    assert config.optimizer.learning_rate == 0.5
    assert tuple(config.data.holdout_methods) == ("blend",)
    assert config.name == "dual_stream"
    with pytest.raises((AttributeError, KeyError)):
        config.misspelt = 1


@pytest.mark.parametrize(
    ("text", "methods"),
    [
        ("warp", ("warp",)),
        ("warp,blend", ("warp", "blend")),
        ("Face Swap, warp", ("Face Swap", "warp")),
        ("('warp',)", ("warp",)),
        ("['warp', 'blend']", ("warp", "blend")),
        ("()", ()),
        ("", ()),
    ],
)
def test_methods_held_back_need_no_quotes(text, methods):
    config = load_config("dual_stream", [f"data.holdout_methods={text}"])
    assert config.data.holdout_methods == methods


def test_the_last_of_two_values_counts_and_a_copy_takes_further_ones():
    repeated = [f"model.dual_stream.dropout=({rate}, {rate})" for rate in (0.1, 0.2)]
    config = load_config("dual_stream", repeated)
    assert config.model.dual_stream.dropout == (0.2, 0.2)
    items = ["train.epochs=7", "optimizer.freeze=('a=b',)", "data.holdout_methods=warp,blend"]
    changed = override(config, items)
    assert changed.is_locked and changed.model.dual_stream.dropout == (0.2, 0.2)
    assert changed.optimizer.freeze == ("a=b",)
    assert changed.data.holdout_methods == ("warp", "blend")
    assert (changed.train.epochs, config.train.epochs) == (7, 30)
    with pytest.raises(UsageError, match="Did you mean 'train.epochs'"):
        override(config, ["train.epoch=7"])
    with pytest.raises(UsageError, match="train.epochs=many"):
        override(config, ["train.epochs=many"])


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("optimizer.learning_rat=1", "optimizer.learning_rate"),
        ("learning_rate=1", "optimizer.learning_rate"),
        ("model.dual_stream.dropuot=1", "model.dual_stream.dropout"),
        ("data.pairng=paired", "data.pairing"),
    ],
)
def test_a_misspelt_key_names_the_nearest(key, nearest):
    with pytest.raises(UsageError, match=f"Did you mean '{nearest}'"):
        load_config("dual_stream", [key])


@pytest.mark.parametrize("key", ["optimizer.lora=True", "optimizer.lora.rank=4"])
def test_a_key_of_lora_below_the_optimiser_names_those_of_adapters(key):
    with pytest.raises(UsageError, match="adapter.name=lora.*kernels, adapter.rank and .*alpha$"):
        load_config("gend", [key])


@pytest.mark.parametrize(
    ("spec", "overrides", "message"),
    [
        ("dual_straem", [], "Did you mean 'dual_stream'"),
        ("nowhere.py", [], "no config file nowhere.py"),
        ("dual_stream:smok", [], "Did you mean 'smoke'"),
        ("dual_stream", ["seed=many"], "seed"),
        ("dual_stream", ["train.epochs=1.5"], "epochs"),
        ("dual_stream", ["--learning_rate=1"], "section.key=value"),
        ("dual_stream", ["seed"], "section.key=value"),
    ],
)
def test_wrong_usage_is_one_line(spec, overrides, message):
    with pytest.raises(UsageError, match=message) as caught:
        load_config(spec, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("variant", ["", ":smoke", ":tiny"])
def test_saving_and_reading_gives_the_same(variant):
    pairs = "optimizer.multipliers=(('hq', 0.1), ('lq', 2.0))"
    config = load_config(f"dual_stream{variant}", ["seed=7", pairs])
    again = from_dict(json.loads(to_json(config)))
    assert differences(config, again) == []
    assert to_json(again) == to_json(config)
    assert yaml.safe_load(to_yaml(config)) == json.loads(to_json(config))


def test_a_saved_config_with_a_foreign_key_is_refused():
    values = json.loads(to_json(base()))
    values["train"]["momentum"] = 0.9
    with pytest.raises(UsageError, match="train.momentum"):
        from_dict(values)


def test_differences_name_the_leaves():
    old, new = load_config("dual_stream"), load_config("dual_stream", ["seed=3"])
    assert differences(old, new) == ["seed: 0 -> 3"]


def test_configs_are_found_by_name_and_by_path():
    assert "dual_stream" in config_names()
    by_name = find_config("dual_stream")
    assert by_name.name == "dual_stream.py"
    assert find_config(str(by_name)) == by_name
    by_path, named = load_config(f"{by_name}:tiny"), load_config("dual_stream:tiny")
    assert differences(by_path, named) == []


def test_sections_are_named_after_packages_and_models():
    config = base()
    assert {"data", "preprocess", "model", "loss", "optimizer", "train"} <= set(config)
    assert set(config_module.VARIANTS) == {"smoke", "tiny"}


def test_the_crop_recipe_of_one_config_is_not_that_of_another():
    first, second = load_config("resnet18:smoke"), load_config("resnet18:smoke")
    first.crops.every = 3
    assert second.crops.every is None and load_config("resnet18").crops.every is None
