"""`config.model.custom`: the options of a class given by import path."""

import json
import sys

import pytest

from dfjax.config import base, differences, from_dict, load_config, model_options, override, to_json
from dfjax.errors import UsageError

CLASSES = """
from flax import linen as nn

class Small(nn.Module):
    width: int = 4
    rate: float = 0.5
    widths: tuple[int, ...] = (1, 2)
    note: str | None = None

class Other(nn.Module):
    depth: int

class Backbone(nn.Module):
    pass

NUMBER = 3
"""
FILE = """
from dfjax.config import base

def get_config(variant=""):
    c = base()
    c.name = "mine"
    c.model.name = "own_models:Small"
    c.model.custom.width = 32
    c.model.custom.update({"widths": [7]})
    return c
"""
NAME = "model.name=own_models:Small"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the module `own_models`, which can be imported, and the config `mine.py`."""
    (tmp_path / "own_models.py").write_text(CLASSES)
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("own_models", None)


def test_a_file_names_a_class_and_its_fields_are_the_options(folder):
    config = load_config(str(folder / "mine.py"))
    assert config.is_locked and config.model.custom.is_locked
    options = {"width": 32, "rate": 0.5, "widths": (7,), "note": None}
    assert model_options(config).to_dict() == options


def test_overrides_are_typed_by_the_fields(folder):
    items = [f"{NAME}", "model.custom.width=3", "model.custom.rate=1"]
    config = load_config("dual_stream", [*items, "model.custom.note=(1, 2)"])
    options = {"width": 3, "rate": 1.0, "widths": (1, 2), "note": (1, 2)}
    assert config.model.custom.to_dict() == options
    assert isinstance(config.model.custom.rate, float)
    values = {"model.name": "own_models:Small", "model.custom.widths": [5], "train.epochs": 3}
    assert load_config("dual_stream", values).model.custom.widths == (5,)
    changed = override(config, ["model.custom.note=(3,)", "model.custom.width=9"])
    assert (changed.model.custom.note, changed.model.custom.width) == ((3,), 9)
    assert override(config, ["model.name=own_models:Other"]).model.custom.to_dict() == {
        "depth": None
    }
    assert override(config, {"model.name": "hybrid"}).model.custom.to_dict() == {}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([NAME, "model.custom.widht=3"], "Did you mean 'model.custom.width"),
        ([NAME, "model.custom.width=wide"], "model.custom.width=wide"),
        (["model.name=own_models:Smal"], "Did you mean 'Small'"),
        (["model.name=own_model:Small"], "No module named 'own_model'"),
        (["model.name=own_models:NUMBER"], "not a subclass of flax.linen.Module"),
        (["model.custom.width=3"], "an option of a model given by import path"),
    ],
)
def test_what_is_wrong_is_one_clear_error(folder, items, message):
    with pytest.raises(UsageError, match=message) as caught:
        load_config("dual_stream", items)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c.model.custom.widht = 3", "Did you mean 'width'"),
        ('c.model.custom.width = "wide"', "model.custom.width"),
        ('c.model.name = "hybrid"', "model.name is 'hybrid'"),
    ],
)
def test_a_file_is_checked_against_the_fields(folder, line, message):
    (folder / "mine.py").write_text(FILE.replace("    return c", f"    {line}\n    return c"))
    with pytest.raises(UsageError, match=message):
        load_config(str(folder / "mine.py"))


def test_a_saved_config_imports_nothing(folder):
    config = load_config(str(folder / "mine.py"))
    del sys.modules["own_models"]
    again = from_dict(json.loads(to_json(config)))
    assert differences(config, again) == [] and again.model.custom.widths == (7,)
    assert override(again, ["model.custom.width=5"]).model.custom.width == 5
    assert "own_models" not in sys.modules
    values = json.loads(to_json(base())) | {"phases": [[NAME]]}
    with pytest.raises(UsageError, match="own_models:Small is not imported"):
        override(from_dict(values), from_dict(values).phases[0])


def test_what_a_file_names_for_a_part_or_a_later_phase_is_imported(folder):
    load_config("resnet18", ["model.frame_classifier.backbone=own_models:Backbone"])
    assert "own_models" in sys.modules
    del sys.modules["own_models"]
    load_config("resnet18", {"phases": ((NAME,),)})
    assert "own_models" in sys.modules


def test_a_config_saved_before_there_were_own_models_is_read():
    values = json.loads(to_json(load_config("dual_stream")))
    del values["model"]["custom"]
    assert differences(from_dict(values), load_config("dual_stream")) == []


def test_a_config_file_may_start_from_another(folder):
    text = FILE.replace("import base", "import load_config").replace(
        "base()", "load_config('hybrid')"
    )
    (folder / "mine.py").write_text(text)
    config = load_config(str(folder / "mine.py"))
    assert (config.data.pairing, config.model.custom.width) == ("balanced", 32)
