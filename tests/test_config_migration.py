"""Configs saved by earlier versions load with today's names."""

import json

import pytest

from dfjax.config import base, from_dict, to_json
from dfjax.config_migration import AUGMENT_PRESETS, migrate
from dfjax.data.transforms.augment_presets import PRESETS


@pytest.mark.parametrize("earlier", AUGMENT_PRESETS)
def test_an_earlier_name_of_a_preset_loads_as_todays(earlier):
    values = json.loads(to_json(base()))
    values["augment"]["preset"] = earlier
    config = from_dict(values)
    assert config.augment.preset == AUGMENT_PRESETS[earlier]
    assert config.augment.preset in PRESETS
    assert values["augment"]["preset"] == earlier, "the caller's dict stays as it is"


def test_todays_config_stays_as_it_is():
    values = json.loads(to_json(base()))
    assert migrate(values) == values
    assert migrate({}) == {}
