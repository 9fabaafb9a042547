"""List a data set's videos in one table: labels, splits, identities, groups, video properties.

For example:

  dfjax data index --adapter ffpp --root FaceForensics++ --compression c23 --out work/index.parquet
  dfjax data index --adapter folder --root videos/ --out work/index.parquet

ffpp takes the original tree with splits/ (and conversion_dict.json) in it and keeps the official
splits. folder takes real/ and fake/ (fake/METHOD/ names methods), one video per file; without
train/ val/ test/ above them, videos are dealt out 0.8, 0.1, 0.1.

Every file is opened. Unreadable ones are left out, listed in errors.jsonl beside the index, and
the exit code is then 1.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from dfjax.commands.main import add_json, print_json
from dfjax.commands.progress import track
from dfjax.data.error_log import ErrorLog
from dfjax.errors import FINDING, OK, UsageError, unknown

Rows = list[dict[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data index`."""
    parser.add_argument("--adapter", required=True, help="ffpp or folder")
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--out", required=True, help="the index to write (Parquet)")
    parser.add_argument("--compression", help="ffpp: only raw, c0, c23 or c40 (all that exist)")
    parser.add_argument("--dataset", help="folder: name of the data set (the folder's name)")
    parser.add_argument("--ratios", type=_ratios, help="folder: train,val,test (0.8,0.1,0.1)")
    parser.add_argument("--seed", type=int, help="folder: of the dealing into splits (0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (cores)")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds a file (120)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the index; returns 1 if files had to be left out."""
    from dfjax.data.adapters import ADAPTERS
    from dfjax.data.records import make_index, write_index

    if args.adapter not in ADAPTERS:
        raise unknown("adapter", args.adapter, ADAPTERS)
    if not Path(args.root).is_dir():
        raise UsageError(f"no folder {args.root}")
    if args.workers < 1 or args.time_limit <= 0:
        raise UsageError("--workers and --time-limit must be positive")
    rows, notes = ADAPTERS[args.adapter](Path(args.root), **_options(args))
    log = ErrorLog(Path(args.out).parent / "errors.jsonl")
    kept = _probe(rows, log, args)
    if not kept:
        raise UsageError(f"none of the {len(rows)} files can be read; see {log.path}")
    write_index(make_index(kept), args.out, command=" ".join(["dfjax", *sys.argv[1:]]))
    _report(kept, notes, log, args)
    return FINDING if log.count else OK


def _options(args: argparse.Namespace) -> dict[str, Any]:
    own = {"ffpp": ("compression",), "folder": ("dataset", "ratios", "seed")}
    given = {
        name: value
        for name in ("compression", "dataset", "ratios", "seed")
        if (value := getattr(args, name)) is not None
    }
    for name in given:
        if name not in own[args.adapter]:
            raise UsageError(f"--{name} does not go with --adapter {args.adapter}")
    return given


def _probe(
    rows: list[dict[str, Any]], log: ErrorLog, args: argparse.Namespace
) -> list[dict[str, Any]]:
    from dfjax.data.probing import has_clean_name, probe_rows

    clean = [row for row in rows if has_clean_name(row["path"])]
    for row in rows:
        if not has_clean_name(row["path"]):
            log.add(
                video_id=row["video_id"],
                path=row["path"],
                stage="index",
                error="the file name is not valid UTF-8; rename it",
            )
    outcomes = probe_rows(clean, workers=args.workers, time_limit=args.time_limit)
    failed = {}
    for outcome in track(outcomes, total=len(clean), what="videos"):
        if outcome.error is None:
            clean[outcome.position] |= outcome.value
        else:
            failed[outcome.position] = outcome.error
    for position, error in sorted(failed.items()):
        row = clean[position]
        log.add(video_id=row["video_id"], path=row["path"], stage="probe", error=error)
    lost = {clean[position]["video_id"] for position in failed}
    kept = [row for row in clean if row["video_id"] not in lost]
    for row in kept:
        row["pair_id"] = None if row["pair_id"] in lost else row["pair_id"]
    return kept


def _report(
    rows: Rows,
    notes: list[str],
    log: ErrorLog,
    args: argparse.Namespace,
) -> None:
    splits = Counter(row["split"] for row in rows)
    methods = Counter(row["method"] for row in rows)
    real = methods["real"]
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{args.out}: {len(rows)} videos, {real} real, {len(rows) - real} fake")
    print("splits:  " + ", ".join(f"{name} {n}" for name, n in splits.items()))
    print("methods: " + ", ".join(f"{name} {n}" for name, n in sorted(methods.items())))
    if log.count:
        print(f"{log.count} files could not be read and were left out: {log.path}")
    if args.json:
        print_json(
            {
                "index": str(args.out),
                "videos": len(rows),
                "real": real,
                "fake": len(rows) - real,
                "splits": splits,
                "methods": methods,
                "unreadable": log.count,
                "notes": notes,
            }
        )


def _ratios(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if len(values) != 3 or min(values) < 0 or not 0 < sum(values) < float("inf"):
        raise argparse.ArgumentTypeError("three shares, not negative: train,val,test")
    return values
