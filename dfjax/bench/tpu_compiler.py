"""Compiles programs for TPUs that this machine does not have, and reads the compiler's figures.

The package `libtpu` (the extra `tpu-compiler`) holds the compiler that runs on a TPU host. It
compiles on any x86 machine for a topology that is only described.
"""

import math
import os
import re
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from dfjax.errors import UsageError


class ProgramFigures(NamedTuple):
    """What the compiler says about a program, per chip.

    Attributes:
        flops: Floating-point operations; the body of a loop counts once.
        bytes_accessed: Bytes that operations read and write, in HBM and in VMEM, with padding.
        temp_bytes: Bytes of temporaries in HBM.
        total_bytes: Bytes of arguments, results, temporaries and code.
    """

    flops: float
    bytes_accessed: float
    temp_bytes: int
    total_bytes: int


def describe_chips(topology: str, *, slices: int = 1) -> list[jax.Device]:
    """Returns the devices of a TPU topology, which need not exist, for a `Mesh` or a sharding.

    Args:
        topology: Name of the chip and shape, such as `v5e:2x4` or `v5p:2x2x1`. With one chip, such
            as `v5e:1x1`, the host has only that chip.
        slices: Number of slices of this shape, which a network connects.

    Raises:
        UsageError: The package libtpu is not installed, or it does not know the topology.
    """
    shape = [int(n) for n in re.findall(r"\d+", topology.partition(":")[2])]
    options: dict[str, Any] = {}
    if math.prod(shape) == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    if slices > 1:
        options["num_slices"] = slices
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # several processes may compile
    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=topology, **options)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise UsageError(
            f"no TPU topology {topology}: {error}; names are such as v5e:2x4, and the compiler "
            "comes with pip install 'dfjax[tpu-compiler]'"
        ) from None
    return list(found.devices)


def read_figures(compiled: Any) -> ProgramFigures:
    """Returns the compiler's figures of a compiled program.

    Args:
        compiled: Result of `jax.jit(function).lower(…).compile()` with shardings on the devices of
            `describe_chips`.
    """
    cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
    new = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return ProgramFigures(
        flops=cost["flops"],
        bytes_accessed=cost["bytes accessed"],
        temp_bytes=memory.temp_size_in_bytes,
        total_bytes=memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
        + new,
    )
