import json
import xml.etree.ElementTree as ET

from dfjax.commands.main import main
from dfjax.config import config_names


def test_json_has_the_contract(capsys):
    assert main(["models", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sorted(result) == config_names()
    flagship = result["dual_stream"]
    assert (flagship["trainable"], flagship["non_trainable"]) == (58_458_311, 167_216)
    assert sum(flagship["parts"].values()) == flagship["trainable"]
    assert flagship["input"]["hq"] == [1, 10, 224, 224, 3]
    # B4 at 224 px is 3.1 GFLOPs a frame, B0 at 112 px 0.2, the first ConvLSTM 3.0
    assert 5.8e10 < flagship["flops"] < 7.0e10


def test_table_and_diagram_of_one_config(capsys, tmp_path):
    figure = tmp_path / "model.svg"
    assert main(["models", "dual_stream:tiny", "--diagram", str(figure)]) == 0
    captured = capsys.readouterr()
    assert "conv_lstm1" in captured.out and "10x64x64x3" in captured.out
    text = "".join(ET.parse(figure).getroot().itertext())
    assert "ConvLSTM 2" in text and "EfficientNet-B0" in text and "parameters" in text


def test_wrong_usage_is_one_line(capsys, tmp_path):
    assert main(["models", "dual_strea"]) == 2
    assert "dual_stream" in capsys.readouterr().err
    assert main(["models", "--diagram", str(tmp_path / "x.svg")]) == 2
    assert main(["models", "dual_stream:tiny", "--diagram", str(tmp_path / "no" / "x.svg")]) == 2
    assert "Traceback" not in capsys.readouterr().err
