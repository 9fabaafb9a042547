"""Predict memory, work and time of a training step on accelerators that are not there.

  dfjax plan --config dual_stream --chip v5e --mesh 8x1x1 --config.train.batch_size=96
  dfjax plan --config two_stream_flow --chip v5p --mesh 64x1x1 --json
  dfjax plan --config dual_stream --chip v5e --mesh 8x1x1 --remat none block all
  dfjax plan --config dual_stream --chip h100 --mesh 8x1x1

For TPUs (v4, v5e, v5p, v6e, up to 1,024 chips) the real compiler compiles the step, on any x86
machine: pip install 'dfjax[tpu-compiler]'. The full dual_stream step takes it about ten minutes
and 9 GB; the figures are kept in your cache folder. For GPUs (a100, h100, h200, l4) the figures
are those of the program before compilation: bytes in HBM and the time by memory are lower bounds,
and the memory for activations is not known.

The mesh is DATAxFSDPxTENSOR. Every axis splits the batch; the last two also split large parameters.
The exit code is 1 if the step does not fit into the memory.
"""

from dfjax.commands.main import Arguments, Parser, add_config, finish
from dfjax.console import make_result_console, show_elapsed
from dfjax.schema import REMAT


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax plan`."""
    add = parser.add_argument
    add_config(parser)
    add("--chip", required=True, help="v4, v5e, v5p, v6e, a100, h100, h200 or l4")
    add("--mesh", default="8x1x1", metavar="DATAxFSDPxTENSOR", help="(8x1x1)")
    add("--remat", nargs="+", default=[], choices=REMAT, help="policies to compare")


def run(args: Arguments) -> int:
    """Makes the plan, prints it and returns the exit code."""
    from dfjax.bench.plan import make_plan
    from dfjax.bench.plan_report import describe_plan

    with show_elapsed(f"plan of {args.config} for {args.chip}") as report:
        plan = make_plan(
            args.config,
            args.chip,
            args.mesh,
            overrides=args.overrides,
            remat=args.remat,
            report=report,
        )
    console = make_result_console()
    if not args.json:
        for part in describe_plan(plan):
            console.print(part, highlight=False, markup=False, soft_wrap=True)
    return finish(args, plan, found=plan["fits"] is False)
