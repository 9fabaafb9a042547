import dataclasses

import pytest

from dfjax import config
from dfjax.errors import UsageError
from dfjax.models import build
from dfjax.models.registry import (
    MODELS,
    full_options,
    input_extras,
    input_shapes,
    input_streams,
)


@pytest.mark.parametrize("name", MODELS)
def test_the_config_section_is_the_options_with_their_defaults(name):
    assert config.base().model[name].to_dict() == full_options(name, {})


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UsageError, match="dual_stream"):
        build("dual_strem")
    with pytest.raises(UsageError, match="conv_lstm"):
        build("dual_stream", conv_lstms=(1,))
    with pytest.raises(UsageError, match="matmul"):
        build("dual_stream", lowering="fast")


@pytest.mark.parametrize(
    "options,message",
    [
        ({"streams": ("hq", "flow")}, "unknown stream 'flow'"),
        ({"streams": ()}, "must be hq, lq or both"),
        ({"streams": ("lq", "lq")}, "each once"),
        ({"dropout": (0.5,)}, "2 classifier layers but 1 dropout rates"),
        ({"lq": "b9"}, "unknown backbone 'b9'"),
        ({"hq": "resnet18", "padding": "static"}, "resnet18 does not support padding 'static'"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(UsageError, match=message):
        build("dual_stream", **options)


def test_streams_have_their_sizes():
    assert input_streams("dual_stream", 224) == {"hq": 224, "lq": 112}
    assert input_streams("dual_stream", 64, streams=["hq"]) == {"hq": 64}


def test_inputs_besides_image_streams(monkeypatch):
    reads_flow = dataclasses.replace(MODELS["dual_stream"], extras=lambda options: ("flow",))
    monkeypatch.setitem(MODELS, "dual_stream", reads_flow)
    assert input_extras("dual_stream", streams=("hq",)) == ("flow",)
    shapes = input_shapes("dual_stream", 32, 2, 5, lq_size=16)
    assert {key: (spec.shape, spec.dtype.name) for key, spec in shapes.items()} == {
        "hq": ((2, 5, 32, 32, 3), "float32"),
        "lq": ((2, 5, 16, 16, 3), "float32"),
        "flow": ((2, 4, 32, 32, 2), "float32"),
        "mask": ((2, 5), "bool"),
    }
