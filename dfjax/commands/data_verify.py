"""Check that files are what they were: the shards of a pack, or the videos and crops of an index.

  dfjax data verify --pack work/pack
  dfjax data verify --index work/crops/index.parquet

A pack's files (--pack, or --index of a pack) are compared with its checksums.json. Of an index,
the source videos are compared with their hashes, and every crop is decoded. Each damaged, missing
or strange file is named; the exit code is then 1.
"""

import argparse
import os
import sys
from pathlib import Path

from dfjax.commands.main import add_json, print_json
from dfjax.console import track
from dfjax.errors import FINDING, OK, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data verify`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pack", type=Path, help="folder of a pack")
    what.add_argument("--index", type=Path, help="an index; crops are looked for beside it")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads (cores)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Checks everything, prints one line per bad file, and returns 1 if there is any."""
    from dfjax.data.index.records import find_index, read_index
    from dfjax.data.store.pack_reader import MANIFEST
    from dfjax.data.store.verify import list_index_checks, list_pack_checks, run_checks

    if args.workers < 1:
        raise UsageError("--workers must be positive")
    index = find_index(args.index) if args.index else None
    if index is None or (index.parent / MANIFEST).is_file():
        work = list_pack_checks(index.parent if index else args.pack)
    else:
        work = list_index_checks(read_index(index), index.parent)
    bad = []
    checks = run_checks(work, threads=args.workers)
    for path, video_id, errors in track(checks, total=len(work), what="checking"):
        for error in errors:
            bad.append({"video_id": video_id, "path": path, "error": error})
            name = path.encode("utf-8", "replace").decode()  # names may not be text
            print(f"dfjax: {name}: {error}", file=sys.stderr)
    print(f"{args.pack or args.index}: {len(work)} checked, {len(bad)} damaged")
    if args.json:
        print_json({"checked": len(work), "damaged": bad})
    return FINDING if bad else OK
