"""Measure speed and memory of a workload on this machine, optionally compared with PyTorch.

  dfjax bench b0 --mode infer --batch 16
  dfjax bench dual_stream --mode train --batch 1 --frames 10 --json
  dfjax bench b4 --mode train --batch 4 --compare torch
  dfjax bench all --compare torch --json
  dfjax bench input --clips 10000
  dfjax bench augment --batch 2 --json

Workloads: b0 b4 (EfficientNet frame classifiers) and unet (64-128-256-512), where an item is an
image; convlstm (one layer, 1792 -> 256 on 7 x 7) and dual_stream (the dual-stream detector), where
an item is a clip. Training uses binary cross-entropy (convlstm: mean square) and Adam, with dropout
and drop path. `all` runs inference and training of each workload at a fixed batch.

--compare torch runs the same workload in PyTorch in separate processes, whose steps alternate with
ours. `torch` has the memory settings of our process (GLIBC_TUNABLES: large pages, freed memory is
kept), `torch_plain` has the defaults. `ratio` and `ratio_plain` are their times divided by ours.
`user_s` and `system_s` are CPU seconds per step, `median_s` is the wall time of a step.
On a GPU the peers run there too: `torch` is PyTorch's eager mode and `torch_compiled` is
torch.compile, with `ratio` and `ratio_compiled`. A turn is then ten steps, of which only the last
one is waited for.

input reads clips of 256 px from a pack of synthetic faces, alternately with the same frames from
PNG files by OpenCV, and measures the growth of memory over --clips clips.

augment applies every preset of `config.augment` to clips, alternately with training steps of
dual_stream on as many clips, and prints the time of each preset as a share of such a step.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from dfjax import precision
from dfjax.bench import augmentation, reading, speed
from dfjax.bench.rows import describe_row
from dfjax.bench.workloads import WORKLOADS, BenchSettings
from dfjax.commands.main import add_json, print_json
from dfjax.errors import OK, UsageError
from dfjax.ops.lowering import LOWERINGS

ALL, INPUT, AUGMENT = "all", reading.WORKLOAD, augmentation.WORKLOAD
FIXED = {ALL: ("mode", "batch"), INPUT: ("mode", "compare"), AUGMENT: ("mode", "compare")}
"""Arguments that these do not take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    parser.add_argument("workload", choices=sorted([*WORKLOADS, ALL, INPUT, AUGMENT]))
    parser.add_argument("--mode", choices=["infer", "train"], help="(infer)")
    parser.add_argument("--batch", type=_count, help="number of images or clips per step (2)")
    parser.add_argument("--frames", type=_count, default=10, help="number of frames per clip (10)")
    parser.add_argument("--size", type=_count, help="side of a frame in px (224; input: 256)")
    parser.add_argument("--dtype", choices=sorted(precision.POLICIES), default="float32")
    parser.add_argument("--lowering", choices=LOWERINGS, default="auto")
    parser.add_argument("--steps", type=_count, default=5, help="number of timed turns (5)")
    parser.add_argument(
        "--clips", type=_count, default=2000, help="clips over which memory is measured (2000)"
    )
    parser.add_argument("--compare", choices=["torch"], help="run PyTorch too, print the ratios")
    add_json(parser)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def run(args: argparse.Namespace) -> int:
    """Measures, and prints a line per row, or one JSON object."""
    for name in FIXED.get(args.workload, ()):
        if getattr(args, name) is not None:
            raise UsageError(f"bench {args.workload} does not take --{name}")
    console = Console(soft_wrap=True, highlight=False, stderr=args.json)
    rows = []
    for row in _measure(args):
        rows.append(row)
        if args.workload == ALL or not args.json:
            console.print(describe_row(row))
    if args.json:
        print_json({"rows": rows} if args.workload == ALL else rows[0])
    return OK


def _measure(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    batch, compare = args.batch or 2, args.compare is not None
    sizes = {"frames": args.frames, "size": args.size or (256 if args.workload == INPUT else 224)}
    compute = {"dtype": args.dtype, "lowering": args.lowering}
    if args.workload == ALL:
        yield from speed.measure_all(**sizes, **compute, steps=args.steps, compare=compare)
    elif args.workload == INPUT:
        yield reading.measure_input(clips=args.clips, batch=batch, **sizes, steps=args.steps)
    elif args.workload == AUGMENT:
        yield augmentation.measure_augment(batch=batch, **sizes, **compute, steps=args.steps)
    else:
        settings = BenchSettings(args.workload, args.mode or "infer", batch, **sizes, **compute)
        yield speed.measure_speed(settings, steps=args.steps, compare=compare)
