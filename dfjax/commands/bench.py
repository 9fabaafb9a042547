"""Measure speed and memory of a workload on this machine, optionally compared with PyTorch.

  dfjax bench b4 --mode train --batch 4 --compare torch
  dfjax bench input --clips 10000
  dfjax bench faces videos/ --frames 12
  dfjax bench predict videos/ --workdir runs/first
  dfjax bench --all --out bench.html videos/

b0, b4 and unet take images, the others clips; convlstm is one layer (1792 -> 256 channels on maps
of 7 x 7), defake the whole GAN. Training uses binary cross-entropy (convlstm: mean square) and
Adam; defake has its own losses.

--compare torch runs the workload in PyTorch, in processes whose steps alternate with ours
(two_stream and defake have no equivalent there). `torch` has our memory settings (GLIBC_TUNABLES),
`torch_plain` the defaults; `ratio` and `ratio_plain` are their times divided by ours. On a GPU they
are eager mode and `torch_compiled`; a turn is then ten steps, of which only the last is waited for.

input reads clips of synthetic faces, alternately with PNG files by OpenCV. augment gives presets of
`config.augment` as shares of a training step of dual_stream. faces runs every face detector of this
machine. predict measures the time from a video to its verdict with the detector of --workdir (or
its exported file) or a random dual_stream. faces and predict draw videos if none are given.

all (or --all) runs every workload at a fixed batch, in a process of its own, with PyTorch where it
can run; --frames 4 --size 112 --steps 3 makes the steps short. Ctrl-C and SIGTERM keep what is
measured (exit code 130). A workload that cannot be measured has a row that says why (exit code 1).
"""

from pathlib import Path

from dfjax import precision
from dfjax.bench.environment import check_machine
from dfjax.bench.measure import NAMES, SEVERAL, describe, measure
from dfjax.bench.page import write_bench
from dfjax.bench.suite import ALL
from dfjax.child_processes import interrupt_on_termination
from dfjax.commands.main import Arguments, Parser, finish, print_line
from dfjax.errors import UsageError
from dfjax.ops.lowering import LOWERINGS
from dfjax.outputs import check_outputs


def add_arguments(parser: Parser) -> None:
    """Adds the arguments of the verb."""
    add = parser.add_argument
    add("inputs", nargs="*", metavar="WORKLOAD", help=f"{', '.join(NAMES)}; then videos for some")
    add("--all", action="store_true", help="the same as the workload all")
    add("--out", type=Path, metavar="F.html", help="all: the page to write")
    add("--workdir", dest="detector", metavar="DIR", help="the detector of predict")
    add("--mode", choices=["infer", "train"], help="(infer)")
    add("--batch", type=int, help="number of images or clips per step (2)")
    add("--frames", type=int, help="number of frames per clip or video (10)")
    add("--size", type=int, help="side of a frame in px (224; input: 256)")
    add("--dtype", choices=sorted(precision.POLICIES), help="(float32)")
    add("--lowering", choices=LOWERINGS, help="(auto)")
    add("--steps", type=int, default=5, help="number of timed turns (5)")
    add("--clips", type=int, default=2000, help="clips over which memory is measured (2000)")
    add("--compare", choices=["torch"], help="run PyTorch too, print the ratios")


def run(args: Arguments) -> int:
    """Measures, prints a line per row, or one JSON object, and writes the page of `--all`."""
    settings = {k: x for k, x in vars(args).items() if k not in ("json", "out", "all", "inputs")}
    inputs = list(args.inputs)
    if args.all and inputs[:1] != [ALL]:
        inputs.insert(0, ALL)
    name, *videos = inputs or [""]
    if not name or (args.out and name != ALL):
        raise UsageError(f"one workload is needed, --out is for {ALL}: {', '.join(NAMES)}")
    check_outputs([args.out] if args.out else [])
    rows = []
    with interrupt_on_termination(name == ALL):
        try:
            for row in measure(name, videos=videos, **settings):
                rows.append(row)
                for line in describe(row).splitlines():
                    print_line(line, error=args.json)
        finally:  # an interrupt too: what was measured is kept
            if args.out and rows:
                write_bench(args.out, rows, check_machine())
    failed = any("error" in row for row in rows)
    return finish(args, {"rows": rows} if name in SEVERAL else rows[0], found=failed)
