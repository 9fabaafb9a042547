"""ONNX files with kernels in int8 and bfloat16."""

import numpy as np
import pytest
from stored_networks import make_saved

from dfjax.exporting.onnx_file import open_onnx_bytes, write_onnx
from dfjax.inference.export_program import (
    compare,
    make_program,
    round_program,
    run_on_cpu,
)
from dfjax.weights.rounding import is_kernel
from dfjax.weights.safetensors_file import flatten

pytestmark = pytest.mark.export


@pytest.mark.parametrize("kind", ["int8", "bf16"])
@pytest.mark.parametrize("spec", ["meso4:smoke", "resnet18_bilstm:smoke"])
def test_kernels_are_stored_small(spec, kind):
    import onnx

    saved = make_saved(spec)
    program, rounding = round_program(make_program(saved, {}), kind)
    data = write_onnx(program)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    small = {"int8": onnx.TensorProto.INT8, "bf16": onnx.TensorProto.BFLOAT16}[kind]
    stored = sum(np.prod(x.dims) for x in model.graph.initializer if x.data_type == small)
    kernels = [x for k, x in flatten(saved.variables).items() if is_kernel(k.split("."), x)]
    assert stored > 0.9 * sum(x.size for x in kernels)
    assert compare(open_onnx_bytes(data), run_on_cpu(program)) < 1e-4
    assert rounding > 1e-5
