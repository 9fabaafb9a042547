"""Make a synthetic data set: drawn, animated faces, half of them manipulated in known ways.

Example, a set to try everything on, and eight short videos to try `dfjax predict` on:

  dfjax data synth --out work/synthetic --videos 1000 --identities 100 --mp4 8
  dfjax data pack --index work/synthetic/index.parquet --out work/pack

Identities never cross the splits (train 60 %, val 10 %, test 30 %). The same seed gives the same
pixels; the same command continues where an interrupted one stopped.
"""

import argparse
import sys
from pathlib import Path

from dfjax.commands.main import add_json, print_json
from dfjax.errors import UsageError


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
    from dfjax.data.synthetic.dataset import generate
    from dfjax.data.synthetic.plan import make_plan
    from dfjax.data.synthetic.samples import write_samples

    if args.mp4 < 0:
        raise UsageError(f"--mp4 must not be negative, not {args.mp4}")
    index, drawn = generate(
        args.out,
        videos=args.videos,
        identities=args.identities,
        frames=args.frames,
        size=args.size,
        seed=args.seed,
        workers=args.workers,
        command=" ".join(["dfjax", *sys.argv[1:]]),
    )
    kept = args.videos - drawn
    print(f"{args.videos} videos in {index}" + (f", {kept} of them reused" if kept else ""))
    samples = write_samples(
        Path(args.out),
        make_plan(args.videos, args.identities, args.seed),
        count=args.mp4,
        seed=args.seed,
    )
    for sample in samples:
        print(f"video {sample}")
    if args.json:
        print_json(
            {"index": str(index), "videos": args.videos, "drawn": drawn, "reused": kept,
             "samples": [str(sample) for sample in samples]}
        )  # fmt: skip
    return 0
