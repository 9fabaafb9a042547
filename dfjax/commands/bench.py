"""Measure speed and memory of a workload on this machine, optionally compared with PyTorch.

  dfjax bench b0 --mode infer --batch 16
  dfjax bench dual_stream --mode train --batch 1 --frames 10 --json
  dfjax bench b4 --mode train --batch 4 --compare torch
  dfjax bench all --compare torch --json
  dfjax bench input --clips 10000
  dfjax bench augment --batch 2 --json
  dfjax bench faces videos/ --frames 12

Workloads: b0 b4 (EfficientNet frame classifiers) and unet (64-128-256-512), where an item is an
image; convlstm (one layer, 1792 -> 256 on 7 x 7), dual_stream (the dual-stream detector) and defake
(the config: generator, discriminator and all losses), where an item is a clip. Training uses binary
cross-entropy (convlstm: mean square) and Adam, with dropout and drop path; defake has its own loss.
`all` runs inference and training of each workload but defake at a fixed batch.

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

faces runs every face detector of this machine on frames of videos: time and faces found.
"""

import argparse

from rich.console import Console

from dfjax import precision
from dfjax.bench.measure import NAMES, SEVERAL, describe, measure
from dfjax.commands.main import Arguments, Parser, finish
from dfjax.ops.lowering import LOWERINGS


def add_arguments(parser: Parser) -> None:
    """Adds the arguments of the verb."""
    add = parser.add_argument
    add("workload", choices=NAMES)
    add("videos", nargs="*", metavar="VIDEO", help="faces: files and folders")
    add("--mode", choices=["infer", "train"], help="(infer)")
    add("--batch", type=_count, help="number of images or clips per step (2)")
    add("--frames", type=_count, default=10, help="number of frames per clip or video (10)")
    add("--size", type=_count, help="side of a frame in px (224; input: 256)")
    add("--dtype", choices=sorted(precision.POLICIES), default="float32")
    add("--lowering", choices=LOWERINGS, default="auto")
    add("--steps", type=_count, default=5, help="number of timed turns (5)")
    add("--clips", type=_count, default=2000, help="clips over which memory is measured (2000)")
    add("--compare", choices=["torch"], help="run PyTorch too, print the ratios")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def run(args: Arguments) -> int:
    """Measures, and prints a line per row, or one JSON object."""
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    console = Console(soft_wrap=True, highlight=False, stderr=args.json)
    several, rows = args.workload in SEVERAL, []
    for row in measure(**settings):
        rows.append(row)
        if several or not args.json:
            console.print(describe(row))
    return finish(args, {"rows": rows} if several else rows[0])
