"""Models of Triton Inference Server, and the examples of serving in the README."""

import re
import sys
import types

import numpy as np
import pytest
from stored_networks import make_saved
from triton_model import list_tensors, read_config

from dfjax.errors import UsageError
from dfjax.exporting.triton import CONFIG, MODEL, write_triton_config
from dfjax.inference import export as exporting
from dfjax.inference.export_program import make_examples, make_program, run_program
from dfjax.outputs import is_ours


def test_the_configuration_has_batches_and_a_dimension_for_the_probability(tmp_path):
    write_triton_config(tmp_path, make_program(make_saved("meso4:smoke"), {}), batch_size=32)
    config = read_config(tmp_path / CONFIG)
    assert (config.backend, config.max_batch_size, config.name) == ("onnxruntime", 32, "")
    assert config.dynamic_batching.max_queue_delay_microseconds == 1000
    assert list_tensors(config.input) == {"clip": ("TYPE_UINT8", [1, 64, 64, 3])}
    (output,) = config.output
    assert list(output.dims) == [1] and list_tensors([output]) == {"fake_prob": ("TYPE_FP32", [])}
    assert is_ours(tmp_path / CONFIG)


def test_only_onnx_is_for_triton(tmp_path):
    with pytest.raises(UsageError, match="triton is for onnx"):
        exporting.export("absent", "stablehlo", out=tmp_path, triton=True)


@pytest.fixture
def read_stored(monkeypatch):
    """Makes `export` take a stored detector with random parameters by its config's name."""
    monkeypatch.setattr(exporting, "read_saved", lambda source, *_, model: make_saved(str(source)))


def list_graph(values):
    """Returns `{name: (type, dims)}` of an ONNX graph's inputs or outputs, without the batch."""
    from onnx import TensorProto, helper

    names = {TensorProto.UINT8: "UINT8", TensorProto.FLOAT: "FP32", TensorProto.BOOL: "BOOL"}
    found = {}
    for value in values:
        kind = value.type.tensor_type
        batch, *dims = kind.shape.dim
        assert batch.dim_param and not batch.dim_value, helper.printable_value_info(value)
        found[value.name] = (f"TYPE_{names[kind.elem_type]}", [dim.dim_value for dim in dims])
    return found


@pytest.mark.export
@pytest.mark.parametrize("spec", ["two_stream_flow:smoke", "defake:smoke"])
def test_the_configuration_is_that_of_the_graph(spec, tmp_path, read_stored):
    import onnx

    mask = spec != "defake:smoke"
    made = exporting.export(spec, "onnx", out=tmp_path / "m", mask=mask, triton=True, card=True)
    assert made.out == tmp_path / "m" and made.card == tmp_path / "m/1/model.onnx.md"
    graph, config = onnx.load(tmp_path / "m" / MODEL).graph, read_config(tmp_path / "m" / CONFIG)
    assert list_tensors(config.input) == list_graph(graph.input)
    assert list_tensors(config.output) == list_graph(graph.output)
    assert len(graph.input) == (3 if mask else 1)
    exporting.export(spec, "onnx", out=tmp_path / "m", mask=mask, triton=True)  # is replaced


class Client:
    """Stands in for a client of Triton: checks requests by the configuration as the server does.

    The model is run by onnxruntime, and its output has the shape that the configuration states.
    """

    def __init__(self, url):
        assert url == "localhost:8000"

    def infer(self, model, inputs):
        import onnxruntime

        config = read_config(Client.repository / model / CONFIG)
        stated = {tensor.name: tensor for tensor in config.input}
        for one in inputs:
            assert f"TYPE_{one.datatype}" == list_tensors(config.input)[one.name][0]
            assert list(one.shape[1:]) == list(stated[one.name].dims) == list(one.data.shape[1:])
            assert 1 <= one.shape[0] == len(one.data) <= config.max_batch_size
        session = onnxruntime.InferenceSession(Client.repository / model / MODEL)
        results = session.run(None, {one.name: one.data for one in inputs})
        self.results = {
            tensor.name: result.reshape(-1, *tensor.dims)
            for tensor, result in zip(config.output, results, strict=True)
        }
        return self

    def as_numpy(self, name):
        return self.results[name]


class Input:
    def __init__(self, name, shape, datatype):
        self.name, self.shape, self.datatype = name, shape, datatype

    def set_data_from_numpy(self, data):
        self.data = data


@pytest.mark.export
def test_the_examples_of_the_readme(root, tmp_path, read_stored, monkeypatch):
    exporting.export("meso4:smoke", "onnx", out=tmp_path / "models/first", triton=True)
    section = (root / "README.md").read_text().split("### Serving\n")[1].split("\n### ")[0]
    local, remote = re.findall(r"```python\n(.*?)```", section, re.S)
    client = types.ModuleType("tritonclient.http")
    client.InferenceServerClient, client.InferInput = Client, Input
    Client.repository = tmp_path / "models"
    monkeypatch.setitem(sys.modules, "tritonclient", types.ModuleType("tritonclient"))
    monkeypatch.setitem(sys.modules, "tritonclient.http", client)
    monkeypatch.chdir(tmp_path)
    program = make_program(make_saved("meso4:smoke"), {}, lowering="auto")
    (clips,) = make_examples(program)
    wanted = run_program(program, clips)
    for code in (local, remote):
        names = {"clips": clips}
        exec(code, names)
        np.testing.assert_allclose(names["fake_prob"], wanted, rtol=0, atol=1e-4)
