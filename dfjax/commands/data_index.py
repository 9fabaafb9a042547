"""List a data set's videos in one table: labels, splits, identities, groups, video properties.

For example:

  dfjax data index --adapter ffpp --root FaceForensics++ --compression c23 --out work/index.parquet
  dfjax data index --adapter folder --root videos/ --out work/index.parquet
  dfjax data index --adapter celebdf --root Celeb-DF-v2 --out work/celeb.parquet

Adapters: ffpp dfd celebdf (v1, v2, ++) dfdc dfdcp deeperforensics ffiw uadfv wilddeepfake df40 take
the original trees and keep their official splits and lists; videos without one are split none, see
--default-split and `dfjax data split`. deepfakebench reads its JSON files with crops or LMDB files.
folder takes real/ and fake/ (fake/METHOD/ names methods), one video per file, or --fake-pattern;
frames the same with folders of face images; csv a table path,label,…; tfds:NAME a TFDS data set in
--root. What is cropped already (frames, wilddeepfake, df40, deepfakebench, tfds) needs no
extraction: `dfjax data pack` takes the index as it is.

Every file is opened and hashed (--no-probe leaves that to later steps: properties stay unknown).
Unreadable ones are left out, listed in errors.jsonl beside the index with what is listed but
absent, without a label or unsafe; the exit code is then 1. What merely has no counterpart (a part
of FaceForensics++ that was not downloaded, a video in no list of splits) is counted and listed in
unmatched.jsonl.
"""

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfjax.commands.main import add_json, print_json
from dfjax.console import track
from dfjax.data.index.error_log import ErrorLog
from dfjax.errors import FINDING, OK, UsageError

if TYPE_CHECKING:
    from dfjax.data.index.adapters.listing import Listing

Rows = list[dict[str, Any]]
OPTIONS = ("compression", "variant", "dataset", "ratios", "seed", "fake_pattern", "table")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data index`."""
    parser.add_argument("--adapter", required=True, help="one of those above")
    parser.add_argument("--root", required=True, help="folder of the data set, or its csv file")
    parser.add_argument("--out", required=True, help="the index to write (Parquet)")
    parser.add_argument("--compression", help="ffpp, dfd: only raw, c23 or c40 (all that exist)")
    parser.add_argument("--variant", help="celebdf: v1, v2 or pp (found by the tree)")
    parser.add_argument("--dataset", help="folder, frames, csv: name of the data set (its file's)")
    parser.add_argument("--ratios", type=_ratios, help="folder: train,val,test (0.8,0.1,0.1)")
    parser.add_argument("--seed", type=int, help="folder: of the dealing into splits (0)")
    parser.add_argument(
        "--fake-pattern",
        help="folder: a text, glob or regular expression that paths of fakes match",
    )
    parser.add_argument("--table", help="csv: the file; deepfakebench: a JSON file or a folder")
    parser.add_argument(
        "--default-split",
        choices=("train", "val", "test", "none"),
        default="none",
        help="of videos that are in no official split (none)",
    )
    parser.add_argument("--no-probe", action="store_true", help="open no file, believe the names")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (cores)")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds a file (120)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the index; returns 1 if files had to be left out."""
    from dfjax.data.index.adapters.listing import FINDINGS
    from dfjax.data.index.records import make_index, write_index

    listing = _list(args)
    log = ErrorLog(Path(args.out).parent / "errors.jsonl")
    unmatched = ErrorLog(Path(args.out).parent / "unmatched.jsonl")
    for kind, video_id, path, error in listing.problems:
        (log if kind in FINDINGS else unmatched).add(
            video_id=_text(video_id), path=_text(path), stage="index", error=f"{kind}: {error}"
        )
    known = log.count
    kept = _probe(listing.rows, log, args)
    if not kept:
        raise UsageError(f"none of the {len(listing.rows)} files can be read; see {log.path}")
    if listing.deal and len(kept) < len(listing.rows):
        listing.deal(kept)
    for row in kept:
        row["split"] = args.default_split if row["split"] == "none" else row["split"]
    write_index(make_index(kept), args.out, command=" ".join(["dfjax", *sys.argv[1:]]))
    problems = Counter(problem.kind for problem in listing.problems)
    _report(kept, listing.notes, problems, log.count - known, log.path.parent, args)
    return FINDING if log.count else OK


def _list(args: argparse.Namespace) -> "Listing":
    """Returns what the adapter finds, each `video_id` once."""
    from dfjax.data.index.adapters import find_adapter
    from dfjax.data.index.adapters.listing import drop_unusable
    from dfjax.data.index.probing import has_clean_name

    function, options = find_adapter(args.adapter)
    if "table" in options and args.table is None and Path(args.root).is_file():
        args.table, args.root = args.root, str(Path(args.root).parent)
    if not Path(args.root).is_dir():
        raise UsageError(f"no folder {_text(args.root)}")
    if not has_clean_name(str(Path(args.root).resolve())):
        raise UsageError(f"the folder name {_text(args.root)} is not valid UTF-8; rename it")
    if args.workers < 1 or args.time_limit <= 0:
        raise UsageError("--workers and --time-limit must be positive")
    given = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    for name in given:
        if name not in options:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} does not go with --adapter {args.adapter}")
    if "out" in options:
        given["out"] = Path(args.out).parent
    listing = function(Path(args.root), **given)
    rows, unusable = drop_unusable(listing.rows)
    return listing._replace(rows=rows, problems=[*listing.problems, *unusable])


def _probe(rows: Rows, log: ErrorLog, args: argparse.Namespace) -> Rows:
    from dfjax.data.index.probing import probe_rows

    clean = [row for row in rows if _is_clean(row)]
    for row in rows:
        if not _is_clean(row):
            log.add(
                video_id=_text(row["video_id"]),
                path=_text(row["path"]),
                stage="index",
                error="the file name or an id is not valid UTF-8; rename it",
            )
    limits = {"workers": args.workers, "time_limit": args.time_limit}
    failed = {}
    if args.no_probe:
        return clean
    outcomes = probe_rows(clean, Path(args.out).parent, **limits)
    for outcome in track(outcomes, total=len(clean), what="videos"):
        if outcome.error is None:
            row = clean[outcome.position]
            row |= {name: v for name, v in outcome.value.items() if row[name] is None}
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


def _is_clean(row: dict[str, Any]) -> bool:
    """Returns whether all names in a row are text."""
    from dfjax.data.index.probing import has_clean_name

    return has_clean_name(json.dumps(row, ensure_ascii=False))


def _text(name: str) -> str:
    """Returns a name as JSON can hold it."""
    return name.encode(errors="backslashreplace").decode()


def _report(
    rows: Rows,
    notes: list[str],
    problems: Counter[str],
    unreadable: int,
    folder: Path,
    args: argparse.Namespace,
) -> None:
    from dfjax.data.index.adapters.listing import FINDINGS

    splits = Counter(row["split"] for row in rows)
    methods = Counter(row["method"] for row in rows)
    real = methods["real"]
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{args.out}: {len(rows)} videos, {real} real, {len(rows) - real} fake")
    print("splits:  " + ", ".join(f"{name} {n}" for name, n in splits.items()))
    print("methods: " + ", ".join(f"{name} {n}" for name, n in sorted(methods.items())))
    if unreadable:
        print(f"{unreadable} files could not be read and were left out: {folder / 'errors.jsonl'}")
    for kind, n in sorted(problems.items()):
        name = "errors.jsonl" if kind in FINDINGS else "unmatched.jsonl"
        print(f"{n} {kind}: {folder / name}")
    if args.json:
        print_json(
            {
                "index": str(args.out),
                "videos": len(rows),
                "real": real,
                "fake": len(rows) - real,
                "splits": splits,
                "methods": methods,
                "unreadable": unreadable,
                "problems": problems,
                "notes": notes,
            }
        )


def _ratios(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if len(values) != 3 or min(values) < 0 or not 0 < sum(values) < float("inf"):
        raise argparse.ArgumentTypeError("three shares, not negative: train,val,test")
    return values
