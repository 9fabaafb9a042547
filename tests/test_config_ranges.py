"""Values that a config cannot have are refused by their key, wherever they come from."""

import dataclasses
import json
import math

import pytest

from dfjax.config import base, from_dict, load_config, override, to_json
from dfjax.config_model_ranges import MODEL_RANGES
from dfjax.config_overrides import leaves
from dfjax.config_ranges import RANGES, check_ranges, find_check
from dfjax.data.clips.batching import PAIRING
from dfjax.data.clips.sampling import PAD
from dfjax.data.faces.recipe import CropRecipe
from dfjax.errors import UsageError
from dfjax.experiment.config_check import check_config
from dfjax.experiment.train import run_training
from dfjax.ops.lowering import LOWERINGS
from dfjax.precision import POLICIES
from dfjax.training.optimizers import RULES
from dfjax.training.schedules import SCHEDULES

KEYS = sorted(leaves(base()))
WRONG = (None, True, -7, 10**20, 1e300, math.nan, math.inf, "a\0b", "(", [[["x"]]], {}, {"a": 1})


def test_every_key_has_its_values_and_every_entry_a_key():
    models = {key.rpartition(".")[2] for key in KEYS if key.count(".") == 2 and key[:5] == "model"}
    others = {key for key in KEYS if not key.startswith("model.") or key.count(".") == 1}
    assert set(RANGES) == others
    assert set(MODEL_RANGES) == models
    check_ranges(base())


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("precision", POLICIES),
        ("lowering", LOWERINGS),
        ("data.pad", PAD),
        ("data.pairing", PAIRING),
        ("optimizer.name", RULES),
        ("schedule.name", SCHEDULES),
    ],
)
def test_names_are_those_of_the_code(key, names):
    with pytest.raises(UsageError, match=f"unknown {key} '-'.*Valid: {', '.join(sorted(names))}."):
        find_check(key)(key, "-")


@pytest.mark.parametrize("key", KEYS)
def test_values_of_another_kind_are_refused_by_name(key):
    values, (*sections, leaf) = json.loads(to_json(base())), key.split(".")
    node = values
    for section in sections:
        node = node[section]
    node[leaf] = {"a": 1}
    with pytest.raises(UsageError, match=f"config.json cannot be used: .*{leaf}"):
        from_dict(values)
    refused = 0
    for value in WRONG:
        try:
            find_check(key)(key, value)
        except UsageError as error:
            assert key in str(error) and len(str(error)) < 400 and "\n" not in str(error)
            refused += 1
    assert refused >= 6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch_size=1000000000", "train.batch_size must be at most 65,536, not 1000000000"),
        ("data.frames=100000", "data.frames must be at most 4,096, not 100000"),
        ("mix.mixup=5", "mix.mixup must be at most 2, not 5"),
        ("mix.mixup=nan", "mix.mixup must be a finite number, not nan"),
        ("optimizer.learning_rate=1e300", r"optimizer.learning_rate must be at most 1,000"),
        ("data.threads=0", "data.threads must be at least 1, not 0"),
        ("optimizer.name=nope", "unknown optimizer.name 'nope'.*Valid: adam, adamw, sgd"),
        ("loss.focal.gamma=nan", "loss.focal.gamma must be a finite number, not nan"),
        ("seed=99999999999999999999", "seed must be at most .*, not 99999999999999999999"),
        ("seed=-1", "seed must be at least 0"),
        (f"seed={'9' * 5000}", "seed"),
        ("augment.blur=(abc,)", "augment.blur"),
        ("augment.blur=('abc',)", "augment.blur must be a number, not 'abc'"),
        ("augment.one_of=(0.5, 3)", "augment.one_of must be a text, not 3"),
        ("optimizer.freeze=('(',)", r"optimizer.freeze: '\(' is no regular expression"),
        ("preprocess.std=(0.2, 0.2)", "preprocess.std must have 3 values, not 2"),
        ("preprocess.std=(0.0, 0.2, 0.2)", "preprocess.std must be at least 1e-06"),
        ("data.fold=6/5", "data.fold is N/K with N from 1 to K"),
        ("train.ema_decay=1.0", "train.ema_decay must be below 1"),
        ("phases=None", "phases must be a tuple with a tuple"),
        ("mesh.data=0", "mesh.data must be at least 1"),
        ("model.dual_stream.width=0.0", "model.dual_stream.width must be above 0"),
        ("model.dual_stream.classifier=(-3,)", "model.dual_stream.classifier must be at least 1"),
    ],
)
def test_a_value_that_cannot_work_is_one_line(override, message):
    with pytest.raises(UsageError, match=message) as caught:
        load_config("dual_stream:smoke", [override])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_what_is_set_in_python_is_checked_when_training_starts():
    config = base()
    config.model.name, config.optimizer.b1 = "dual_stream", 1.5
    with pytest.raises(UsageError, match="optimizer.b1 must be below 1"):
        check_config(config)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["mesh.tensor=7"], "needs 7 devices"),
        (["train.accumulate=3", "train.batch_size=16"], "train.batch_size=16 does not divide"),
        (["train.batch_size=65536", "data.frames=4096"], "TB for the pixels of one batch"),
        (["eval.batch_size=7"], "eval.batch_size=7 does not divide"),
        (["data.synthetic.identities=1"], "identities must be"),
        (["train.init_from=/nowhere"], "/nowhere is not a workdir"),
        (["train.init_from=/nowhere.safetensors"], "/nowhere.safetensors"),
        (["augment.preset=nope"], "unknown augment.preset 'nope'"),
    ],
)
def test_nothing_is_made_for_a_config_that_does_not_fit(tmp_path, items, message):
    config = override(load_config("dual_stream:smoke"), items)
    with pytest.raises(UsageError, match=message):
        run_training(config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "it is None, not an object"),
        ([], r"it is \[\], not an object"),
        ({"data": 5}, "data must be a section, not 5"),
        ({"train": {"epochs": "three"}}, "train.epochs must be a whole number, not 'three'"),
        ({"train": {"epochs": 2.5}}, "train.epochs must be a whole number, not 2.5"),
        ({"train": {"epochs": True}}, "train.epochs must be a whole number, not True"),
        ({"train.epochs": 3}, "the key 'train.epochs', which this version does not know"),
        ({"model": {"custom": {"a.b": 3}}}, "the key 'model.custom.a.b'"),
        ({"model": {"custom": {"a": {}}}}, "model.custom.a must be a number, a text or"),
        ({"augment": {"preset": []}}, r"augment.preset must be a text, not \(\)"),
        ({"augment": {"preset": "deepfakebench", "blur": 7}}, "augment.blur must be a tuple"),
        ({"loss": {"name": [], "gamma": 2.0}}, "loss.name must be a text"),
        ({"loss": {"name": "focal", "gamma": 2.0, "focal": 3}}, "loss.focal must be a section"),
        ({"loss": {"gamma": 2.0}}, "the key 'loss.gamma'"),
        ({"model": {"clip_detector": {"hidden": [256]}}}, "hidden cannot be"),
        ({"phases": ["train.epochs=3"]}, "phases must be a tuple with a tuple of overrides"),
        ({"crops": {"size": "large"}}, "crops.size must be a whole number"),
        ({"crops": {"min_quality": [["sharpness"]]}}, "crops.min_quality are pairs"),
    ],
)
def test_a_saved_config_with_values_of_another_kind_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        from_dict(values)


def test_every_field_of_a_crop_recipe_is_a_key():
    """A run stores the recipe of its data in `config.crops`, which is locked."""
    assert {field.name for field in dataclasses.fields(CropRecipe)} == set(base().crops)
