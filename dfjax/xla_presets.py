"""Flags of XLA for training on accelerators, which `DFJAX_XLA_PRESET` adds to the environment.

A preset has only flags whose value is not the default, in jaxlib 0.10.2 and libtpu 0.0.42: a test
compares those for GPUs with the defaults of the installed jaxlib, and another one shows that those
for TPUs change a compiled program. Their gain was not measured, for want of several devices.
"""

from collections.abc import MutableMapping
from typing import NamedTuple

from dfjax.errors import unknown

VARIABLE = "DFJAX_XLA_PRESET"


class Preset(NamedTuple):
    """Flags for one kind of accelerator.

    Attributes:
        variable: Environment variable that the compiler reads.
        flags: Values of flags by name, without the leading hyphens.
    """

    variable: str
    flags: dict[str, str]


PRESETS = {
    "gpu": Preset(
        "XLA_FLAGS",
        {
            # Sums over devices overlap with computation, for which the step takes more memory.
            "xla_gpu_enable_latency_hiding_scheduler": "true",
            # Sums in loops (train.accumulate) overlap with the next iteration. Needs the scheduler
            # above.
            "xla_gpu_enable_pipelined_all_reduce": "true",
            # A process ends when NCCL reports that another one has failed, so that the scheduler
            # starts the run again, instead of waiting for it.
            "xla_gpu_nccl_terminate_on_error": "true",
            # Seconds after which a process that waits for the others ends. The default, -1, is no
            # limit. One host alone may compile for minutes.
            "xla_gpu_nccl_termination_timeout_seconds": "900",
        },
    ),
    "tpu": Preset(
        "LIBTPU_INIT_ARGS",
        {
            # Sums over chips may run beside computation. Both are needed: each alone compiles to
            # the same program. The flags for other collectives are on by default.
            "xla_enable_async_all_reduce": "true",
            "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": "true",
        },
    ),
    "tpu_sparse_core": Preset(
        "LIBTPU_INIT_ARGS",
        {
            # Sums over chips run on the SparseCores of v5p, v6e and v7x, beside the computation.
            "xla_tpu_enable_sparse_core_collective_offload_all_reduce": "true",
        },
    ),
}


def use_xla_preset(environ: MutableMapping[str, str]) -> None:
    """Adds the flags of the preset that `DFJAX_XLA_PRESET` names; flags that are set stay.

    It has to be called before JAX starts its backend.

    Args:
        environ: Environment to change, such as `os.environ`.

    Raises:
        UsageError: There is no such preset.
    """
    name = environ.get(VARIABLE, "")
    if not name:
        return
    if name not in PRESETS:
        raise unknown(VARIABLE, name, PRESETS)
    variable, flags = PRESETS[name]
    given = environ.get(variable, "").split()
    named = {flag.removeprefix("--").partition("=")[0] for flag in given}
    added = [f"--{flag}={value}" for flag, value in flags.items() if flag not in named]
    environ[variable] = " ".join([*given, *added])
