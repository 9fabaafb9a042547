"""Join several indexes into one; rows are not changed and crops are not moved.

For example:

  dfjax data merge work/ffpp.parquet work/celeb.parquet --out work/both.parquet

A video that is in two of them is an error, and so are crops with different recipes (another margin,
face detector or size), because `dfjax predict` can only follow one. Crops are not moved: frames_dir
is made relative to the folder of the new index. Extract faces first, then merge with data sets that
consist of crops.
"""

import argparse

from dfjax.commands.data import command_line
from dfjax.commands.main import add_json, finish, print_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data merge`."""
    parser.add_argument("indexes", nargs="+", metavar="INDEX", help="two or more Parquet files")
    parser.add_argument("--out", required=True, help="the index to write (Parquet)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the merged index and prints its numbers of videos."""
    from dfjax.data.index.merge import merge_indexes

    report = merge_indexes(args.indexes, args.out, command=command_line())
    print_line(f"{args.out}: {report.videos} videos")
    print_line(
        "data sets: " + ", ".join(f"{name} {n}" for name, n in sorted(report.datasets.items()))
    )
    return finish(args, {"index": args.out, "videos": report.videos, "datasets": report.datasets})
