"""StableHLO: one file of `jax.export` that runs on a CPU, an NVIDIA GPU or a TPU.

On a CPU it computes as detectors do there, whose convolutions are matrix products, and on the
others by native convolutions. Both share the parameters. Rounded kernels are constants of int8 or
bfloat16, from which the program computes the kernels.

`jax.export.deserialize(bytearray(path.read_bytes())).call(clip)` runs it without dfjax.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from dfjax.exporting.program import Program, symbolic_batch
from dfjax.weights.rounding import FLOAT32, pack_variables, unpack_variables

PLATFORMS = ("cpu", "cuda", "tpu")


def save_stablehlo(path: Path, program: Program) -> None:
    """Writes a program with its parameters, lowered for every platform of `PLATFORMS`."""
    stored: Any = program.variables
    if program.kernels != FLOAT32:
        stored = pack_variables(stored, program.kernels)

    def dfjax_program(*arrays: jax.Array) -> jax.Array:
        variables = unpack_variables(jax.tree.map(jnp.asarray, stored))
        return jax.lax.platform_dependent(
            variables, *arrays, cpu=program.call_on_cpu, default=program.call
        )

    shapes = program.shapes(symbolic_batch())
    exported = export.export(jax.jit(dfjax_program), platforms=PLATFORMS)(*shapes)
    path.write_bytes(exported.serialize())


def open_stablehlo(path: Path) -> Callable[..., np.ndarray]:
    """Returns the program in a file as a function of its inputs, in order."""
    call = jax.jit(export.deserialize(bytearray(path.read_bytes())).call)
    return lambda *arrays: np.asarray(call(*arrays))
