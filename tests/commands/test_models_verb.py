import json
import re
import xml.etree.ElementTree as ET

import pytest

from dfjax.commands.main import main
from dfjax.config import config_names, load_config, override
from dfjax.experiment import model_size

COUNTS = {
    "dual_stream": (58_458_311, 167_216),
    "two_stream_flow": (131_500_610, 56_064),
    "efficientnet_b4": (18_468_682, 126_224),
    "efficientnet_b4_linear": (17_552_202, 125_200),
    "efficientnet_b4_380": (923_137, 17_678_424),  # with a frozen base
    "xception": (21_858_090, 55_552),
    "efficientnet_v2s": (20_835_410, 154_896),
    "resnet50": (24_559_170, 54_144),
    "resnet18": (11_177_025, 9_600),
    "resnet18_bilstm": (14_331_458, 9_600),
    "hybrid": (11_914_365, 42_016),
    "effort": (196_704 + 2_050, 303_179_776 + 196_704),  # with the first values of its adapters
}
"""The published counts; the test of each model has their derivation."""


def read_sizes(capsys):
    """Returns what `dfjax models --json` prints, after checks that hold for every config."""
    assert main(["models", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sorted(result) == config_names()
    for name in COUNTS:
        assert sum(result[name]["parts"].values()) == result[name]["trainable"], name
    return result


def test_json_has_the_contract(capsys, monkeypatch):
    """Sizes of two configs; the others, whose tracing takes a second each, are a small one's."""
    traced, compute = ("dual_stream", "efficientnet_b4_380"), model_size.compute_model_size
    small = compute(load_config("resnet18:smoke"))
    monkeypatch.setattr(
        model_size, "compute_model_size", lambda c: compute(c) if c.name in traced else small
    )
    result = read_sizes(capsys)
    for name in traced:
        assert (result[name]["trainable"], result[name]["non_trainable"]) == COUNTS[name], name
    assert [phase["trainable"] for phase in result["efficientnet_b4_380"]["phases"]] == [
        923_137,
        5_494_641,
    ]
    flagship = result["dual_stream"]
    assert flagship["input"]["hq"] == [1, 10, 224, 224, 3]
    # B4 at 224 px is 3.1 GFLOPs a frame, B0 at 112 px 0.2, the first ConvLSTM 3.0
    assert 5.8e10 < flagship["flops"] < 7.0e10


@pytest.mark.slow
def test_the_sizes_of_every_config(capsys):
    result = read_sizes(capsys)
    counts = {name: (result[name]["trainable"], result[name]["non_trainable"]) for name in COUNTS}
    assert counts == COUNTS


def test_table_and_diagram_of_one_config(capsys, tmp_path):
    figure = tmp_path / "model.svg"
    assert main(["models", "dual_stream:tiny", "--diagram", str(figure)]) == 0
    captured = capsys.readouterr()
    assert main(["models", "efficientnet_b4_380:smoke"]) == 0
    assert re.search(r"phase 2 +90,753 +80,236", capsys.readouterr().out)
    assert "conv_lstm1" in captured.out and "10x64x64x3" in captured.out
    text = "".join(ET.parse(figure).getroot().itertext())
    assert "ConvLSTM 2" in text and "EfficientNet-B0" in text and "parameters" in text


def test_overrides_change_one_config(capsys):
    rgb = ["--config.model.two_stream.flow=False", "--config.data.flow=False"]
    assert main(["models", "two_stream_flow", *rgb, "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out).values()
    assert model["trainable"] == 89_704_514
    assert main(["models", *rgb]) == 2
    assert "NAME" in capsys.readouterr().err


def test_a_phase_has_the_adapters_of_its_own_config():
    """A LoRA of rank 2, then of rank 4 on the same kernels, then none."""
    config = load_config("gend:smoke")
    ranks = ("adapter.rank=4",), ("adapter.name=none",)
    config = override(config, {"adapter.name": "lora", "adapter.rank": 2, "phases": ranks})
    size = model_size.compute_model_size(config)
    two, four, none = (phase.parts.get("adapters", 0) for phase in size.phases)
    assert two > 0 and (four, none) == (2 * two, 0)
    assert size.summary.parts["adapters"] == two
    assert size.phases[0].trainable - size.phases[2].trainable == two


def test_wrong_usage_is_one_line(capsys, tmp_path):
    assert main(["models", "dual_strea"]) == 2
    assert "dual_stream" in capsys.readouterr().err
    figure = tmp_path / "x.svg"
    assert main(["models", "--diagram", str(figure)]) == 2
    figure.write_text("not a folder")
    assert main(["models", "dual_stream:tiny", "--diagram", str(figure / "x.svg")]) == 2
    assert "Traceback" not in capsys.readouterr().err
