"""`FORMATS`: the programs that other runtimes run, by the name of the format."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfjax.exporting.onnx_file import open_onnx, save_onnx
from dfjax.exporting.program import Program
from dfjax.exporting.stablehlo_file import open_stablehlo, save_stablehlo
from dfjax.exporting.torch_file import open_torch, save_torch


class Format(NamedTuple):
    """A format of programs.

    Attributes:
        save: Function `save(path, program)` that writes a file, not atomically.
        open: Function `open(path)` that returns the program in the file as a function of its
            inputs, in order.
        runtime: Name of the package that runs it.
        tolerance: Largest difference from the checkpoint's output that is accepted.
    """

    save: Callable[[Path, Program], None]
    open: Callable[[Path], Callable[..., np.ndarray]]
    runtime: str
    tolerance: float


FORMATS = {
    "onnx": Format(save_onnx, open_onnx, "onnxruntime", 1e-4),
    "stablehlo": Format(save_stablehlo, open_stablehlo, "jax", 1e-6),
    "torch": Format(save_torch, open_torch, "torch", 1e-4),
}
