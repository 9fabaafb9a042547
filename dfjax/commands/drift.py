"""Compare two sets of inputs: do scores, sharpness, sizes or compression drift from A to B?

  dfjax drift runs/dual/eval/val/predictions.parquet new/predictions.parquet
  dfjax drift work/pack new_videos/
  dfjax drift runs/dual new_pack/index.parquet

A and B are tables of predictions (their scores are compared), an index or pack (sharpness of face
crops, size of faces and frames, bits per pixel), a workdir with calibration.json, or a folder of
videos and images (frame_sharpness instead of that of crops). For each property that both have
there are the population stability index (PSI) and the Kolmogorov-Smirnov distance with its p-value,
corrected by Holm. A drift is reported where p is below 0.01 and the PSI exceeds what it is by
chance by over 0.1. With few inputs only large drifts can be seen, and a note says how large.
Exit code 1: there is a drift, or a file could not be read.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax drift`."""
    add = parser.add_argument
    add("a", type=Path, metavar="A", help="the reference")
    add("b", type=Path, metavar="B", help="what is compared with it")
    add("--split", help="split of tables and indexes (all rows)")
    add("--workers", type=int, help="processes that read files (one per core)")


def run(args: Arguments) -> int:
    """Compares, prints the table and returns the exit code."""
    from dfjax.inference.drift import compare_inputs

    return show(args, compare_inputs(args.a, args.b, **args.select("split", "workers")))
