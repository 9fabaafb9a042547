"""A model repository of NVIDIA's Triton Inference Server: `NAME/config.pbtxt`, `NAME/1/model.onnx`.

The form is that of Triton's model configuration, whose first dimension, the batch, is not written:
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
The name of the model is that of its folder, so that the folder can be renamed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dfjax.exporting.program import FAKE_PROB, Program
from dfjax.files import write_text
from dfjax.outputs import PBTXT_COMMENT

MODEL, CONFIG = Path("1", "model.onnx"), "config.pbtxt"
"""Paths of the first version of a model and of its configuration, in its folder."""

TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "bool": "TYPE_BOOL"}
QUEUE_DELAY = 1000
"""Microseconds that a request waits for others to be computed in one batch with it."""


def write_triton_config(folder: Path, program: Program, *, batch_size: int) -> None:
    """Writes the configuration of an ONNX program, with dynamic batching.

    Args:
        folder: Folder of the model.
        program: Program in `MODEL`.
        batch_size: Largest number of clips in one batch.
    """
    inputs = [
        _describe_tensor(name, np.dtype(x.dtype).name, x.shape)
        for name, x in program.inputs.items()
    ]
    if program.output == FAKE_PROB:  # f32[B]: Triton needs a dimension besides that of the batch
        output = _describe_tensor(program.output, "float32", (1,), ["reshape: { shape: [ ] }"])
    else:
        output = _describe_tensor(program.output, "uint8", program.inputs["clip"].shape)
    lines = [
        PBTXT_COMMENT,
        'backend: "onnxruntime"',
        f"max_batch_size: {batch_size}",
        *_describe_tensors({"input": inputs, "output": [output]}),
        f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY} }}",
    ]
    write_text(folder / CONFIG, "\n".join(lines) + "\n")


def _describe_tensors(tensors: Mapping[str, Sequence[str]]) -> list[str]:
    joined = {field: ",\n".join(entries) for field, entries in tensors.items()}
    return [f"{field} [\n{entries}\n]" for field, entries in joined.items()]


def _describe_tensor(
    name: str, dtype: str, shape: Sequence[int], further: Sequence[str] = ()
) -> str:
    dims = ", ".join(map(str, shape))
    lines = [f'name: "{name}"', f"data_type: {TYPES[dtype]}", f"dims: [ {dims} ]", *further]
    return "\n".join(["  {", *(f"    {line}" for line in lines), "  }"])
