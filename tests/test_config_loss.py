"""`config.loss`: a section of options per loss, and those of a loss given by import path."""

import json
import sys
import types

import pytest

from dfjax.config import (
    base,
    differences,
    from_dict,
    load_config,
    loss_options,
    override,
    to_json,
)
from dfjax.errors import UsageError
from dfjax.losses.registry import LOSSES, default_options


def make_own(*, margin=1.0, power=2):
    return lambda logits, outputs, batch: margin * logits**power


def make_other(*, slope=0.5):
    return lambda logits, outputs, batch: slope * logits


@pytest.fixture(autouse=True)
def own_losses(monkeypatch):
    module = types.ModuleType("own_losses")
    module.make_own, module.make_other = make_own, make_other
    monkeypatch.setitem(sys.modules, "own_losses", module)


def test_every_loss_has_a_section_with_the_arguments_of_its_factory():
    loss = base().loss
    for name in LOSSES:
        assert loss[name].to_dict() == default_options(name)


def test_options_are_overridden_under_the_name_of_the_loss():
    config = load_config("dual_stream", ["loss.name=focal", "loss.focal.gamma=3", "seed=1"])
    assert loss_options(config).to_dict() == {"gamma": 3.0, "alpha": -1.0, "smoothing": 0.0}
    with pytest.raises(UsageError, match=r"no key 'loss.gamma'. Did you mean 'loss.focal.gamma'"):
        load_config("dual_stream", ["loss.gamma=3"])


def test_a_loss_by_import_path_brings_its_options_and_they_are_saved():
    config = load_config("dual_stream", ["loss.name=own_losses:make_own", "loss.custom.margin=3"])
    assert loss_options(config).to_dict() == {"margin": 3.0, "power": 2}
    again = from_dict(json.loads(to_json(config)))
    assert differences(config, again) == []
    other = override(config, ["loss.name=own_losses:make_other"])
    assert other.loss.custom.to_dict() == {"slope": 0.5}
    assert config.loss.custom.margin == 3.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.custom.margin=2"], "of a loss given by import path, but loss.name is 'bce'"),
        (["loss.name=own_losses:make_own", "loss.custom.marjin=2"], "'loss.custom.margin'"),
        (["loss.name=own_losses:make_owl"], "Did you mean 'make_own'"),
        (["loss.name=no_such_module_here:make"], "cannot import no_such_module_here"),
    ],
)
def test_wrong_losses_are_named(overrides, message):
    with pytest.raises(UsageError, match=message):
        load_config("dual_stream", overrides)
