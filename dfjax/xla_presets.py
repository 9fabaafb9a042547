"""Flags of XLA for training on accelerators, which `DFJAX_XLA_PRESET` adds to the environment.

A preset has only flags whose value is not the default, in jaxlib 0.10.2 and libtpu 0.0.42: a test
compares those for GPUs with the defaults of the installed jaxlib, and another one shows that those
for TPUs change a compiled program. Their gain was not measured, for want of several devices. The
line on a flag says why, and since when it is not a default, with the source; the compiler for TPUs
is closed and has no list of changes.

Left out on purpose: `xla_gpu_enable_pipelined_all_reduce`, which was the default for some weeks of
2024 until trainings diverged (openxla/xla#16953), and without effect in jaxlib 0.10.1 by
openxla/xla#44228; and the offload of sums to the SparseCores of v6e
(`xla_tpu_enable_sparse_core_collective_offload_all_reduce`), with which the compiler estimates more
cycles for the step of the test (109,567 instead of 68,873).
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
            # Off since it was added: by 2023-04 users had to set it (google/paxml#21), and JAX's
            # tips for GPUs say so from jaxlib 0.4.18 (2023-10) on.
            "xla_gpu_enable_latency_hiding_scheduler": "true",
            # A process ends when NCCL reports that another one has failed, so that the scheduler
            # starts the run again, instead of waiting for it. Off since it was added in 2024-05
            # (openxla/xla#13109); that it be the default was proposed in 2024-07
            # (openxla/xla#14809).
            "xla_gpu_nccl_terminate_on_error": "true",
            # Seconds after which a process that waits for the others ends. One host alone may
            # compile for minutes. No limit (-1) in every version of XLA's debug_options_flags.cc
            # that was read, the oldest of which is older than 2024.
            "xla_gpu_nccl_termination_timeout_seconds": "900",
        },
    ),
    "tpu": Preset(
        "LIBTPU_INIT_ARGS",
        {
            # Sums over chips may run beside computation. Both are needed: each alone compiles to
            # the same program. The flags for other collectives are on by default. Since when these
            # are not is not published; they are not in libtpu 0.0.42 (jax 0.10.2).
            "xla_enable_async_all_reduce": "true",
            "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": "true",
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
