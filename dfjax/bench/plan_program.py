"""Compiles the training step of a config for chips that are not there, in a process of its own.

Run as `python -m dfjax.bench.plan_program PARENT`, the id of the process that asks, with a
`PlanRequest` as JSON on standard input. The environment has to say `JAX_PLATFORMS=cpu` before JAX
is imported, which is why this is a process. Standard output has one JSON object per line:
`{"phase": …}` while it works, then `{"result": …}` or `{"usage": message}`.
"""

import functools
import hashlib
import importlib.metadata
import json
import math
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from dfjax.bench.chips import CHIPS, find_slices
from dfjax.bench.hlo_figures import Collective, count_cycles, measure_traffic, to_rows
from dfjax.bench.hlo_text import parse_module
from dfjax.bench.tpu_compiler import describe_chips, read_figures
from dfjax.child_processes import end_with_parent
from dfjax.errors import UsageError, first_line
from dfjax.experiment.step_program import TracedStep, trace_config_step
from dfjax.files import write_json
from dfjax.json_files import read_mark
from dfjax.ops.flops import count_moved_bytes, count_operations, count_unfused_bytes
from dfjax.user_cache import user_cache

FORMAT = 3
"""Version of the figures in the cache; files of other versions are made again."""

COLLECTIVE = {"kind": str, "group": int, "count": int, "bytes": int}
FIGURES: dict[str, Any] = {
    **{"flops": float, "bytes_accessed": float, "hbm_bytes": float, "cycles": float},
    "text_cycles": float,
    **{"padding_waste": float, "temp_bytes": float, "total_bytes": float, "compile_s": float},
    **{"collectives": [COLLECTIVE], "too_large": (str, None)},
}
"""Figures of a compiled program, which the cache holds."""

_TOO_LARGE = re.compile(r"Used \S+ of \S+ hbm")


class PlanRequest(NamedTuple):
    """What to compile.

    Attributes:
        config: Name or file of a config, with variants.
        overrides: Overrides of its keys, as texts.
        chip: Name in `CHIPS`.
        mesh: Sizes of the axes `data`, `fsdp` and `tensor`.
        remat: What the backward pass recomputes; empty for what the config says.
    """

    config: str
    overrides: list[str]
    chip: str
    mesh: tuple[int, int, int]
    remat: str = ""


def main() -> None:
    """Reads the request and writes the result to standard output."""
    request = PlanRequest(**json.load(sys.stdin))
    try:
        _write(result=_plan(request))
    except UsageError as error:
        _write(usage=str(error))


def _write(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _plan(request: PlanRequest) -> dict[str, Any]:
    _write(phase="lowering")
    devices, chip = math.prod(request.mesh), CHIPS[request.chip]
    run = functools.partial(
        trace_config_step,
        request.config,
        request.overrides,
        mesh=request.mesh,
        remat=request.remat,
    )
    if chip.axes:
        shape, slices = find_slices(request.chip, devices // chip.cores)
        step = run(describe_chips(f"{request.chip}:{shape}", slices=slices))
        figures = _compile(step.program.lower(), f"{request.chip}:{shape}*{slices}", devices)
        figures["flops"] += count_repeated_flops(step) / devices
    else:
        step = run(jax.devices(), lowering="native")
        figures = _count(step, request.mesh)
    return {"config": request.config, "figures": figures} | {
        name: getattr(step, name) for name in ("batch", "frames", "state_bytes")
    }


def _compile(lowered: Any, topology: str, devices: int) -> dict[str, Any]:
    """Returns the figures of a lowered program, from the cache if it was compiled before."""
    versions = (jax.__version__, importlib.metadata.version("libtpu"), FORMAT)
    key = json.dumps([lowered.as_text(), topology, *versions])
    name = hashlib.sha256(key.encode()).hexdigest()
    path: Path = user_cache("plans") / f"{name}.json"
    if (known := read_mark(path, FIGURES)) is not None:
        return known
    _write(phase="compiling")
    start = time.monotonic()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not (used := _TOO_LARGE.search(str(error))):
            raise
        figures = dict.fromkeys(FIGURES, 0.0) | {"collectives": [], "too_large": used[0]}
    else:
        figures = _read(compiled, devices) | {"too_large": None}
    figures["compile_s"] = time.monotonic() - start
    write_json(path, figures)
    return figures


def _read(compiled: Any, devices: int) -> dict[str, Any]:
    figures = read_figures(compiled)
    text = compiled.as_text()
    traffic = measure_traffic(parse_module(text), devices)
    return {
        "flops": figures.flops,
        "bytes_accessed": figures.bytes_accessed,
        "hbm_bytes": traffic.hbm_bytes,
        "cycles": traffic.cycles,
        "text_cycles": count_cycles(text),
        "padding_waste": traffic.padding_waste,
        "temp_bytes": figures.temp_bytes,
        "total_bytes": figures.total_bytes,
        "collectives": to_rows(traffic.collectives),
    }


def count_repeated_flops(step: TracedStep) -> int:
    """Returns the operations of loops on all devices that XLA's cost analysis leaves out.

    It counts the body of a loop once. `train.accumulate` and recurrent layers are loops.
    """
    program = step.program.jaxpr.jaxpr
    return count_operations(program) - count_operations(program, loops=False)


def _count(step: TracedStep, mesh: Sequence[int]) -> dict[str, Any]:
    """Returns the figures on each GPU of a mesh, of a program that is not compiled.

    The bytes accessed are those before fusion, `hbm_bytes` those if every element-wise operation
    were fused.
    """
    program, devices = step.program.jaxpr.jaxpr, math.prod(mesh)
    return {
        **dict.fromkeys(FIGURES, None),
        "flops": count_operations(program) / devices,
        "bytes_accessed": count_unfused_bytes(program) / devices,
        "hbm_bytes": count_moved_bytes(program) / devices,
        "collectives": to_rows(expect_collectives(step, mesh)),
    }


def expect_collectives(step: TracedStep, mesh: Sequence[int]) -> list[Collective]:
    """Returns the collectives of a step that is not compiled.

    The gradients of trained parameters are summed over all devices once, and the statistics of
    batch normalisation twice, forwards and backwards. Parameters that `fsdp` and `tensor` split are
    gathered once.
    """
    devices, parts = math.prod(mesh), math.prod(mesh[1:])
    if devices == 1:
        return []
    missing = step.parameter_bytes - step.state_bytes["params"]
    found = [
        Collective("all-reduce", devices, 1, step.gradient_bytes),
        Collective("all-reduce", devices, step.statistics, 0),
    ]
    if missing:
        found.append(Collective("all-gather", parts, 1, missing * parts // (parts - 1)))
    return found


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    try:
        main()
    except jax.errors.JaxRuntimeError as error:
        sys.exit(first_line(error))
