"""Speed and memory of one workload on this machine, optionally beside a PyTorch peer.

  dfjax bench b0 --mode infer --batch 16
  dfjax bench s0a --mode train --batch 1 --frames 10 --json
  dfjax bench b4 --mode train --batch 4 --compare torch
  dfjax bench input --clips 10000
  dfjax bench augment --batch 2 --json

Workloads: b0 b4 (EfficientNet frame classifiers) and unet (64-128-256-512), where an item is an
image; convlstm (one layer, 1792 -> 256 on 7 x 7) and s0a (the dual-stream detector), where it is a
clip. Training is binary cross-entropy (convlstm: mean square) and Adam with dropout and drop path
on. The peer runs in its own process, step by step in turn with ours, so that both see the same
machine.

input reads clips of 256 px from a pack of synthetic faces, in turn with the same frames as PNG
files through OpenCV, and watches memory over --clips clips.

augment changes clips by every preset of `config.augment`, in turn with training steps of s0a on as
many, and gives the share of such a step that it takes.
"""

import argparse
import statistics
import time
from typing import Any

import jax
from rich.console import Console

import dfjax
from dfjax import precision
from dfjax.bench.peers import Peer
from dfjax.bench.workloads import WORKLOADS, Program, Settings, make_program
from dfjax.commands.main import add_json, print_json
from dfjax.errors import OK, UsageError
from dfjax.ops.lowering import LOWERINGS

INPUT, AUGMENT = "input", "augment"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    parser.add_argument("workload", choices=sorted([*WORKLOADS, INPUT, AUGMENT]))
    parser.add_argument("--mode", choices=["infer", "train"], default="infer")
    parser.add_argument("--batch", type=int, default=2, help="images or clips (default 2)")
    parser.add_argument("--frames", type=int, default=10, help="frames of a clip (default 10)")
    parser.add_argument("--size", type=int, help="side of a frame (default 224; input: 256)")
    parser.add_argument("--dtype", choices=sorted(precision.POLICIES), default="float32")
    parser.add_argument("--lowering", choices=LOWERINGS, default="auto")
    parser.add_argument("--steps", type=int, default=5, help="timed steps; the median counts")
    parser.add_argument(
        "--clips", type=int, default=2000, help="clips over which input watches memory"
    )
    parser.add_argument("--compare", choices=["torch"], help="run the peer too, print the ratio")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measures, and prints one line or one JSON object."""
    reading, augmenting = args.workload == INPUT, args.workload == AUGMENT
    args.size = args.size if args.size is not None else (256 if reading else 224)
    for name in ("batch", "frames", "size", "steps", "clips"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name} must be at least 1")
    if reading and args.compare:
        raise UsageError("bench input has its own comparison, with PNG files; leave --compare out")
    if augmenting and args.compare:
        raise UsageError("bench augment has no torch peer; leave --compare out")
    result = (_run_input if reading else _run_augment if augmenting else _run_program)(args)
    if args.json:
        print_json(result)
    else:
        Console(soft_wrap=True, highlight=False).print(_describe(result))
    return OK


def _run_program(args: argparse.Namespace) -> dict[str, Any]:
    settings = Settings(
        args.workload, args.mode, args.batch, args.frames, args.size, args.dtype, args.lowering
    )
    peer = Peer(settings) if args.compare else None
    try:
        program = make_program(settings)
        ours, theirs = _time(program, peer, args.steps)
    finally:
        if peer:
            peer.close()
    median = statistics.median(ours)
    result = _identify(args, device=jax.devices()[0].device_kind, compiled=True) | {
        "lowering": args.lowering,
        "median_s": median,
        "items_per_s": args.batch / median,
        "compile_s": program.compile_s,
        "peak_bytes": program.peak_bytes,
        "params": program.params,
    }
    if theirs:
        other = statistics.median(theirs)
        result["torch"] = {"median_s": other, "items_per_s": args.batch / other}
        result["ratio"] = other / median
    return result


def _run_input(args: argparse.Namespace) -> dict[str, Any]:
    from dfjax.bench.reading import InputSettings, measure_input, report

    settings = InputSettings(args.clips, args.batch, args.frames, args.size, args.steps)
    args.mode, args.dtype = "train", "uint8"  # the stream of training, before `preprocess`
    row = report(settings, measure_input(settings))
    return _identify(args, device="cpu", compiled=False) | {"compile_s": 0.0, "params": 0} | row


def _run_augment(args: argparse.Namespace) -> dict[str, Any]:
    from dfjax.bench.augmentation import measure_augment, report

    args.mode = "train"
    settings = Settings(
        args.workload, args.mode, args.batch, args.frames, args.size, args.dtype, args.lowering
    )
    row = report(settings, *measure_augment(settings, args.steps))
    return _identify(args, device=jax.devices()[0].device_kind, compiled=True) | row


def _identify(args: argparse.Namespace, *, device: str, compiled: bool) -> dict[str, Any]:
    """What was run: the keys that every row of the benchmark has."""
    return {
        "peer": "dfjax",
        "version": dfjax.__version__,
        "jax": jax.__version__,
        "source": "dfjax",
        "workload": args.workload,
        "mode": args.mode,
        "batch": args.batch,
        "frames": args.frames,
        "size": args.size,
        "device": device,
        "dtype": args.dtype,
        "compile": compiled,
    }


def _time(program: Program, peer: Peer | None, steps: int) -> tuple[list[float], list[float]]:
    """Seconds of every timed step, ours and the peer's in turn; the first of each warms up."""
    ours, theirs = [], []
    for _ in range(steps + 1):
        start = time.perf_counter()
        program.step()
        ours.append(time.perf_counter() - start)
        if peer:
            theirs.append(peer.step())
    return ours[1:], theirs[1:]


def _describe(result: dict[str, Any]) -> str:
    speed = (
        f"{result['workload']} {result['mode']}, batch {result['batch']}, {result['dtype']}: "
        f"{result['items_per_s']:.3g} items/s, {1e3 * result['median_s']:.1f} ms a step, "
        f"{result['peak_bytes'] / 1e9:.2f} GB"
    )
    if result["workload"] == INPUT:
        growth = result["growth_percent"]
        memory = (
            "" if growth is None else f"\nmemory grew by {growth:.1f} % since the first 1,000 clips"
        )
        return f"{speed}\n{result['ratio']:.2f} x the speed of PNG through OpenCV{memory}"
    if result["workload"] == AUGMENT:
        step = result["s0a_step"]["median_s"]
        shares = ", ".join(
            f"{name} {row['share_of_s0a_step']:.1%}" for name, row in result["presets"].items()
        )
        return f"{speed}\nof a training step of s0a, {step:.2f} s: {shares}"
    speed += f", compiled in {result['compile_s']:.0f} s"
    if "ratio" in result:
        speed += f"\n{result['ratio']:.2f} x the speed of torch"
    return speed
