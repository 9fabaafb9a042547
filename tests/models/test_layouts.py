import xml.etree.ElementTree as ET

import pytest

from dfjax.config import config_names, load_config
from dfjax.models.diagram import make_svg
from dfjax.models.entry import Box
from dfjax.models.layouts import place
from dfjax.models.registry import find_entry, full_options
from dfjax.models.summary import compute_summary


def box(key):
    return Box(key, key, "", 0, "data")


def test_blocks_stand_side_by_side_and_their_chains_below_each_other():
    blocks = [[[box("a"), box("b")], [box("c")]], [[box("d")]], [[box("e")], [box("f")]]]
    nodes, edges = place(blocks)
    places = {node.box.key: (node.column, node.row) for node in nodes}
    assert places == {
        "a": (0, 0), "b": (1, 0), "c": (0, 1), "d": (2, 0.5), "e": (3, 0), "f": (3, 1)
    }  # fmt: skip
    arrows = sorted(start.box.key + end.box.key for start, end in edges)
    assert arrows == ["ab", "bd", "cd", "de", "df"]


OTHERS = {
    "dual_stream": {"streams": ("lq",), "flow": True, "embedding": 16},
    "two_stream_flow": {"flow": False, "embedding": 16},
    "resnet18": {"embedding": 16},
    "resnet50": {"streams": ("rgb", "srm", "phase")},
    "transformer_head": {"features": 24, "positions": "learned", "pooling": "last"},
    "resnet18_bilstm": {"scales": (48, 32), "pyramid": 16, "frequency": "dct", "projection": 16}
    | {"cross_attention": True, "self_attention": True, "join": "gate", "dual_pathway": True},
    "hybrid": {"temporal": "conv_lstm", "spatial_attention": True, "projection": 0},
}


@pytest.mark.parametrize(
    "name,others", [*((name, {}) for name in config_names()), *OTHERS.items()], ids=str
)
def test_the_boxes_hold_every_parameter_of_the_model(name, others):
    config = load_config(f"{name}:tiny")
    model = config.model.name
    options = full_options(model, config.model[model].to_dict() | others)
    summary = compute_summary(model, size=64, frames=2, options=options)
    nodes, _ = place(find_entry(model).layout(options, summary))
    assert sum(node.box.params for node in nodes) == summary.parameters
    assert len({node.box.key for node in nodes}) == len(nodes)
    text = "".join(ET.fromstring(make_svg(name, model, options, summary)).itertext())
    assert ("restored frames" if find_entry(model).generates else "fake logit") in text
    assert f"{summary.parameters:,}" in text
