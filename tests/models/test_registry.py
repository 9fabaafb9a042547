import pytest

from dfjax import config
from dfjax.errors import UsageError
from dfjax.models.registry import MODELS, build, full_options, input_streams


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
        ({"streams": ()}, "give hq, lq or both"),
        ({"streams": ("lq", "lq")}, "each once"),
        ({"dropout": (0.5,)}, "2 classifier layers but 1 dropout rates"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(UsageError, match=message):
        build("dual_stream", **options)


def test_streams_have_their_sizes():
    assert input_streams("dual_stream", 224) == {"hq": 224, "lq": 112}
    assert input_streams("dual_stream", 64, streams=["hq"]) == {"hq": 64}
