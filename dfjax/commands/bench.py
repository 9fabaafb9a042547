"""Speed and memory of one workload on this machine, optionally beside a PyTorch peer.

  dfjax bench b0 --mode infer --batch 16
  dfjax bench s0a --mode train --batch 1 --frames 10 --json
  dfjax bench b4 --mode train --batch 4 --compare torch

Workloads: b0 b4 (EfficientNet frame classifiers; an item is an image), convlstm (one layer,
1792 -> 256 on 7 x 7) and s0a (the dual-stream detector; an item is a clip). Training is binary
cross-entropy and Adam with dropout and drop path on. The peer runs in its own process, step by step
in turn with ours, so that both see the same machine.
"""

import argparse
import statistics
import time
from typing import Any

import jax
from rich.console import Console

from dfjax import precision
from dfjax.commands.bench_peer import Peer
from dfjax.commands.bench_workloads import WORKLOADS, Program, Settings, make_program
from dfjax.commands.main import add_json, print_json
from dfjax.errors import OK, UsageError
from dfjax.ops.lowering import LOWERINGS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    parser.add_argument("workload", choices=sorted(WORKLOADS))
    parser.add_argument("--mode", choices=["infer", "train"], default="infer")
    parser.add_argument("--batch", type=int, default=2, help="images or clips (default 2)")
    parser.add_argument("--frames", type=int, default=10, help="frames of a clip (default 10)")
    parser.add_argument("--size", type=int, default=224, help="side of a frame (default 224)")
    parser.add_argument("--dtype", choices=sorted(precision.POLICIES), default="float32")
    parser.add_argument("--lowering", choices=LOWERINGS, default="auto")
    parser.add_argument("--steps", type=int, default=5, help="timed steps; the median counts")
    parser.add_argument("--compare", choices=["torch"], help="run the peer too, print the ratio")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compiles, warms up, times, and prints one line or one JSON object."""
    for name in ("batch", "frames", "size", "steps"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name} must be at least 1")
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
    result = _result(settings, program, ours)
    if theirs:
        median = statistics.median(theirs)
        result["peer"] = {"name": args.compare, "median_s": median}
        result["ratio"] = median / result["median_s"]
    if args.json:
        print_json(result)
    else:
        _print(result)
    return OK


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


def _result(settings: Settings, program: Program, seconds: list[float]) -> dict[str, Any]:
    median = statistics.median(seconds)
    return settings._asdict() | {
        "device": jax.devices()[0].device_kind,
        "version": jax.__version__,
        "median_s": median,
        "items_per_s": settings.batch / median,
        "compile_s": program.compile_s,
        "peak_bytes": program.peak_bytes,
        "params": program.params,
    }


def _print(result: dict[str, Any]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{result['workload']} {result['mode']}, batch {result['batch']}, {result['dtype']}: "
        f"{result['items_per_s']:.3g} items/s, {1e3 * result['median_s']:.1f} ms a step, "
        f"{result['peak_bytes'] / 1e9:.2f} GB, compiled in {result['compile_s']:.0f} s"
    )
    if "ratio" in result:
        console.print(f"{result['ratio']:.2f} x the speed of {result['peer']['name']}")
