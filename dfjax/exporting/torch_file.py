"""PyTorch: a program of `torch.export`, which `torch.export.load(path).module()(clip)` runs."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dfjax.errors import UsageError
from dfjax.exporting.program import Program, symbolic_batch
from dfjax.exporting.simplify import trace

MISSING = "PyTorch is not installed: pip install torch"


def save_torch(path: Path, program: Program) -> None:
    """Writes a program whose buffers are the parameters, named by their paths with `__` for dots.

    Raises:
        UsageError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(MISSING) from error
    from dfjax.exporting.torch_module import Network

    batch = symbolic_batch()
    leaves, structure = jax.tree.flatten_with_path(program.variables)
    flat = {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(x) for path, x in leaves
    }

    def call(*arrays: Any) -> Any:
        variables = jax.tree.unflatten(structure, arrays[: len(leaves)])
        return program.call(variables, *arrays[len(leaves) :])

    parameters = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in flat.values()]
    closed = trace(call, [*parameters, *program.shapes(batch)], {})
    module = Network(closed, flat, batch)
    example = tuple(
        torch.zeros((2, *x.shape), dtype=getattr(torch, np.dtype(x.dtype).name))
        for x in program.inputs.values()
    )
    clips = {0: torch.export.Dim("B", min=1)}
    dynamic = {"arrays": tuple(clips for _ in example)}
    exported = torch.export.export(module.eval(), example, dynamic_shapes=dynamic)
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    path.write_bytes(buffer.getvalue())


def open_torch(path: Path) -> Callable[..., np.ndarray]:
    """Returns the program in a file as a function of its inputs, in order, run by PyTorch.

    Raises:
        UsageError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(MISSING) from error
    module = torch.export.load(io.BytesIO(path.read_bytes())).module()

    def call(*arrays: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(module(*map(torch.from_numpy, arrays)))

    return call
