"""Measure speed and memory of a workload on this machine, optionally compared with PyTorch.

  dfjax bench b4 --mode train --batch 4 --compare torch
  dfjax bench input --clips 10000
  dfjax bench faces videos/ --frames 12
  dfjax bench predict videos/ --workdir runs/first
  dfjax bench --all --out bench.html

b0 b4 (EfficientNets) and unet take images; convlstm (one layer, 1792 -> 256 on 7 x 7), dual_stream,
two_stream, transformer_head (on features) and defake (the whole GAN) take clips. Training uses
binary cross-entropy (convlstm: mean square) and Adam; defake has its own losses.

--compare torch runs the workload in PyTorch in separate processes, whose steps alternate with ours
(not two_stream and defake). `torch` has our memory settings (GLIBC_TUNABLES: large pages, freed
memory is kept), `torch_plain` the defaults. `ratio` and `ratio_plain` are their times divided by
ours. On a GPU they are PyTorch's eager mode and `torch_compiled` (torch.compile), with `ratio` and
`ratio_compiled`; a turn is then ten steps, of which only the last one is waited for.

input reads clips from a pack of synthetic faces, alternately with PNG files by OpenCV, and measures
the growth of memory. augment gives each preset of `config.augment` as a share of a training step of
dual_stream. faces runs every face detector of this machine on frames of videos. predict measures
the time from a video to its verdict (p50, p95, videos/s, memory) with the detector of --workdir (or
its exported file) or dual_stream with random parameters. faces and predict draw videos if none are
given.

all (or --all) runs every workload at a fixed batch, in a process of its own, with PyTorch where it
is installed (in a checkout). --out is one page with the ratios and the machine. Most of the time is
compilation; --frames 4 --size 112 --steps 3 makes the steps short. Ctrl-C keeps what is measured
(exit code 130). A workload that cannot be measured has a row that says why (exit code 1).
"""

import argparse
from pathlib import Path

from rich.console import Console

from dfjax import precision
from dfjax.bench.environment import check_machine
from dfjax.bench.measure import NAMES, SEVERAL, describe, measure
from dfjax.bench.page import write_bench
from dfjax.bench.suite import ALL
from dfjax.commands.main import Arguments, Parser, finish
from dfjax.errors import UsageError
from dfjax.ops.lowering import LOWERINGS
from dfjax.outputs import check_outputs


def add_arguments(parser: Parser) -> None:
    """Adds the arguments of the verb."""
    add = parser.add_argument
    add("workload", nargs="?", choices=NAMES)
    add("videos", nargs="*", metavar="VIDEO", help="faces, predict, all: files and folders")
    add("--all", action="store_true", help="the same as the workload all")
    add("--out", type=Path, metavar="F.html", help="all: the page to write")
    add("--workdir", dest="detector", metavar="DIR", help="the detector of predict")
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
    """Measures, prints a line per row, or one JSON object, and writes the page of `--all`."""
    settings = {key: x for key, x in vars(args).items() if key not in ("json", "out", "all")}
    name = settings["workload"] = args.workload or (ALL if args.all else None)
    if name is None or ((args.all or args.out) and name != ALL):
        raise UsageError(f"one workload is needed, --out is for {ALL}: {', '.join(NAMES)}")
    if args.out:
        check_outputs([args.out])
    console = Console(soft_wrap=True, highlight=False, stderr=args.json)
    several, rows = name in SEVERAL, []
    try:
        for row in measure(**settings):
            rows.append(row)
            if several or not args.json:
                console.print(describe(row), markup=False)
    finally:  # an interrupt too: what was measured is kept
        if args.out and rows:
            write_bench(args.out, rows, check_machine())
    failed = any("error" in row for row in rows)
    return finish(args, {"rows": rows} if several else rows[0], found=failed)
