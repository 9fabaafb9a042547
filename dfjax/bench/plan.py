"""Plans a training: memory, work and predicted time of a step on chips that need not be there."""

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from dfjax.bench.chips import Chip, find_chip, find_slices
from dfjax.bench.hlo_figures import Collective, to_rows
from dfjax.bench.plan_prediction import (
    check_lanes,
    describe_assumptions,
    predict_bounds,
    predict_scaling,
)
from dfjax.errors import RunError, UsageError

MODULE = "dfjax.bench.plan_program"
POLL_S = 0.2
CROWDED = 0.9
"""Share of the memory in use above which a plan warns."""
REPLICATED = 0.25
"""Share of the memory that parameters and optimiser take above which `fsdp` is suggested."""

COMPARED = ("fits", "hbm_bytes_per_clip", "cycles_per_clip", "predicted_step_s")
"""Figures in the row of a policy of recomputation, beside the bytes per chip."""

COMPILED, TRACED = "compiled for the chip", "a roofline of the program before compilation"

Report = Callable[[str, float], None]
"""`report(phase, seconds)`, called while a program is compiled."""


def make_plan(
    config: str,
    chip: str,
    mesh: str,
    *,
    overrides: Sequence[str] = (),
    remat: Sequence[str] = (),
    report: Report = lambda phase, seconds: None,
) -> dict[str, Any]:
    """Returns the figures of the training step of a config on a mesh of chips.

    For TPUs they are those of the program that the TPU compiler makes, which may take minutes and
    gigabytes; figures of a known program come from the cache folder of the user. For GPUs they are
    counted in the traced program.

    Args:
        config: Name or file of the config, with variants.
        chip: Name of the chip, such as `v5e` or `h100`.
        mesh: Sizes of the axes `data`, `fsdp` and `tensor`, such as `8x1x1`.
        overrides: Overrides of keys, `["train.batch_size=96"]`.
        remat: Policies of recomputation to compare (see `dfjax.models.remat`). Each is a row in
            `remat` of the plan, whose other figures are those of the first one. Empty for what
            the config says.
        report: Function that is told about the progress.

    Raises:
        UsageError: A name is unknown, or the batch does not divide over the mesh.
        RunError: The TPU compiler is not installed, or it failed.
    """
    figures_of, sizes = find_chip(chip), read_mesh(mesh)
    devices = math.prod(sizes)
    if figures_of.axes:
        _check_slice(chip, figures_of, devices)
        if importlib.util.find_spec("libtpu") is None:
            raise RunError(
                f"the compiler for {chip} is not installed: pip install 'dfjax[tpu-compiler]'"
            )
    request = {"config": config, "overrides": list(overrides), "chip": chip, "mesh": sizes}
    plans = [
        summarize_plan(_run_child(request | {"remat": policy}, report), chip, sizes)
        for policy in remat or [""]
    ]
    rows = [
        {"policy": policy} | {name: plan[name] for name in COMPARED} | plan["bytes_per_chip"]
        for policy, plan in zip(remat, plans)
    ]
    return plans[0] | {"remat": rows}


def read_mesh(text: str) -> tuple[int, int, int]:
    """Returns the sizes of the axes of a mesh such as `8x1x1`.

    Raises:
        UsageError: The text is no mesh.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise UsageError(f"mesh {text!r} is not DATAxFSDPxTENSOR, such as 8x1x1")
    return int(match[1]), int(match[2]), int(match[3])


def _check_slice(name: str, chip: Chip, devices: int) -> None:
    if devices % chip.cores:
        raise UsageError(f"{name} has {chip.cores} devices per chip, and the mesh has {devices}")
    find_slices(name, devices // chip.cores)


def _run_child(request: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Returns the result of the process that compiles; an interrupt ends it."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_SKIP_MDS_QUERY": "1",
    }
    # Programs for a TPU must not go to the cache of programs for this machine.
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    if not find_chip(request["chip"]).axes:  # the step is traced for as many processors
        devices = math.prod(request["mesh"])
        environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    with tempfile.TemporaryFile("w+") as messages, tempfile.TemporaryFile("w+") as asked:
        json.dump(request, asked)
        asked.seek(0)
        with _child(environment, asked, messages) as child:
            events = _follow(child, report)
        messages.seek(0)
        lines = [line for line in messages.read().splitlines() if line.strip()]
    if "usage" in events:
        raise UsageError(events["usage"])
    if "result" not in events:
        last = lines[-1] if lines else f"exit status {child.returncode}"
        raise RunError(f"compiling the step failed: {last}")
    return events["result"]


@contextmanager
def _child(
    environment: Mapping[str, str], asked: IO[str], messages: IO[str]
) -> Iterator["subprocess.Popen[str]"]:
    child = subprocess.Popen(
        [sys.executable, "-m", MODULE, str(os.getpid())],
        stdin=asked, stdout=subprocess.PIPE, stderr=messages, text=True, env=dict(environment),
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()  # the compiler ignores interrupts
        child.wait()


def _follow(child: "subprocess.Popen[str]", report: Report) -> dict[str, Any]:
    """Returns all events of the process, which ends its output, and reports the current phase."""
    events: dict[str, Any] = {"phase": "starting"}

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                events.update(json.loads(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    start = time.monotonic()
    while reader.is_alive():
        report(events["phase"], time.monotonic() - start)
        reader.join(POLL_S)
    child.wait()
    return events


def summarize_plan(result: Mapping[str, Any], chip: str, mesh: Sequence[int]) -> dict[str, Any]:
    """Returns the plan of a program: figures per device and per clip, predictions, warnings.

    Args:
        result: Result of `plan_program`.
        chip: Name of the chip.
        mesh: Sizes of the axes of the mesh.
    """
    figures, state, card = result["figures"], result["state_bytes"], find_chip(chip)
    devices = math.prod(mesh)
    clips = result["batch"] // devices
    collectives = [Collective(**row) for row in figures["collectives"]]
    compiled = bool(card.axes)
    bounds = predict_bounds(
        chip,
        flops=figures["flops"],
        hbm_bytes=figures["hbm_bytes"],
        cycles=figures["cycles"] or 0,
        collectives=collectives,
        chips=devices // card.cores,
    )
    fits = not figures["too_large"]

    def per_clip(name: str) -> float | None:
        return figures[name] / clips if figures[name] and fits else None

    return {
        "config": result["config"],
        "chip": chip,
        "chips": devices // card.cores,
        "mesh": "x".join(map(str, mesh)),
        "batch": result["batch"],
        "source": COMPILED if compiled else TRACED,
        "fits": fits if compiled else None,
        "bytes_per_chip": {**state, "temp": figures["temp_bytes"], "total": figures["total_bytes"]},
        "hbm_per_chip": card.hbm_bytes / card.cores,
        "bytes_accessed_per_clip": per_clip("bytes_accessed"),
        "hbm_bytes_per_clip": per_clip("hbm_bytes"),
        "cycles_per_clip": per_clip("cycles"),
        "text_cycles_per_clip": per_clip("text_cycles"),
        "flops_per_clip": per_clip("flops"),
        "collectives": to_rows(collectives),
        "padding_waste": figures["padding_waste"] if fits else None,
        "bounds_s": bounds._asdict() if fits else None,
        "predicted_step_s": bounds.step if fits else None,
        "scaling": predict_scaling(chip, bounds, collectives) if fits and collectives else [],
        "assumptions": describe_assumptions(chip, bounds),
        "warnings": list(_warn(result, card, mesh)),
        "compile_s": figures["compile_s"],
    }


def _warn(result: Mapping[str, Any], card: Chip, mesh: Sequence[int]) -> Iterator[str]:
    """Yields what to change."""
    figures, state = result["figures"], result["state_bytes"]
    devices = math.prod(mesh)
    memory = card.hbm_bytes / card.cores
    held = state["params"] + state["optimizer"] + state["other"]
    less = (
        f"a smaller train.batch_size (now {result['batch'] // devices} clips per device), "
        "train.accumulate, or remat of the model"
    )
    if figures["too_large"]:
        yield f"does not fit: {figures['too_large']}; {less}"
    elif (figures["total_bytes"] or 0) > CROWDED * memory:
        yield f"uses {figures['total_bytes'] / memory:.0%} of the memory; {less}"
    if held > REPLICATED * memory and mesh[1] * mesh[2] == 1 and devices > 1:
        yield (
            f"the state takes {held / memory:.0%} of the memory of every device; the axis fsdp of "
            f"the mesh divides it, such as 1x{devices}x1"
        )
    if card.axes and result["frames"]:
        lanes = check_lanes(result["batch"], result["frames"], devices)
        if lanes:
            yield lanes
