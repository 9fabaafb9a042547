"""Join several indexes into one: rows as they are, crops where they are.

For example:

  dfjax data merge work/ffpp.parquet work/celeb.parquet --out work/both.parquet

A video that is in two of them is an error. Crops stay where they are: frames_dir is made relative
to the new index's folder. Extract faces first, then merge with data sets that come as crops.
"""

import argparse
import shlex
import sys
from pathlib import Path

from dfjax.commands.main import add_json, print_json
from dfjax.errors import OK, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data merge`."""
    parser.add_argument("indexes", nargs="+", metavar="INDEX", help="two or more Parquet files")
    parser.add_argument("--out", required=True, help="the index to write (Parquet)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the merged index and says what it holds."""
    from dfjax.data.index.merge import merge_indexes

    if len(args.indexes) < 2:
        raise UsageError("give two or more indexes to merge")
    command = shlex.join(["dfjax", *sys.argv[1:]])
    table = merge_indexes(args.indexes, Path(args.out), command=command)
    counts = table["dataset"].value_counts().to_pylist()
    datasets = {entry["values"]: entry["counts"] for entry in counts}
    print(f"{args.out}: {table.num_rows} videos")
    print("data sets: " + ", ".join(f"{name} {n}" for name, n in sorted(datasets.items())))
    if args.json:
        print_json({"index": args.out, "videos": table.num_rows, "datasets": datasets})
    return OK
