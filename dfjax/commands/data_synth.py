"""Generate a synthetic data set of animated faces, half of them manipulated in known ways.

For example, a data set, and eight short videos for `dfjax predict`:

  dfjax data synth --out work/synthetic --videos 1000 --identities 100 --mp4 8
  dfjax data pack --index work/synthetic/index.parquet --out work/pack

Identities never cross the splits (train 60 %, val 10 %, test 30 %). The same seed gives the same
pixels; the same command continues where an interrupted one stopped.
"""

import argparse

from dfjax.commands.data import command_line
from dfjax.commands.main import add_json, finish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data synth`."""
    parser.add_argument("--out", required=True, help="folder for crops/ and index.parquet")
    parser.add_argument("--videos", type=int, default=1000, help="half real, half fake (1000)")
    parser.add_argument("--identities", type=int, default=100, help="an even number (100)")
    parser.add_argument("--frames", type=int, default=12, help="per video (12)")
    parser.add_argument("--size", type=int, default=64, help="side of a face crop in px (64)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument(
        "--mp4", type=int, default=0, metavar="K", help="also K videos of the test split as mp4"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Draws what is missing, writes the index, and says what there is."""
    from dfjax.data.synthetic.samples import synthesise

    names = ("videos", "identities", "frames", "size", "seed", "workers")
    options = {name: getattr(args, name) for name in names}
    report = synthesise(args.out, **options, samples=args.mp4, command=command_line())
    print("\n".join(report.describe()))
    return finish(args, report.to_json())
