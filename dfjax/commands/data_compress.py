"""Encode the videos of an index again with x264, to equalise classes or to test robustness.

  dfjax data compress --index work/index.parquet --out work/c40 --crf 40
  dfjax data extract --index work/c40/index.parquet --out work/crops40

Videos go to OUT/videos/VIDEO_ID.mp4, the new index (same ids and labels, compression crfN) to
OUT/index.parquet. FaceForensics++ was published at 23 and 40. Frames and their times stay; sound
goes. The same command continues where an interrupted one stopped. Videos that cannot be read are
left out, listed in OUT/errors.jsonl, and the exit code is then 1.
"""

import argparse
import functools
import os
import shlex
import sys
from pathlib import Path

from dfjax.commands.main import add_json, print_json
from dfjax.console import track
from dfjax.errors import FINDING, OK, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data compress`."""
    parser.add_argument("--index", required=True, help="from `dfjax data index`")
    parser.add_argument("--out", required=True, help="folder for the videos and the new index")
    parser.add_argument("--crf", type=int, required=True, help="0 (lossless) to 51 (worst)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (cores)")
    parser.add_argument("--time-limit", type=float, default=3600.0, help="seconds a video (3600)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compresses what is missing and writes the index; returns 1 if videos were left out."""
    from dfjax.data.faces.compress import compress_record, make_compressed_index, video_path
    from dfjax.data.faces.worker_pool import run_tasks
    from dfjax.data.index.error_log import ErrorLog
    from dfjax.data.index.records import read_index, write_index

    if not 0 <= args.crf <= 51:
        raise UsageError(f"--crf is 0 to 51, not {args.crf}")
    if args.workers < 1 or args.time_limit <= 0:
        raise UsageError("--workers and --time-limit must be positive")
    index, out = read_index(args.index), Path(args.out)
    target = out / "index.parquet"
    if target.exists() and target.samefile(args.index):
        raise UsageError(f"--out {out} would overwrite the index it reads; choose another folder")
    for video_id in index["video_id"]:
        video_path(out, video_id)
    rows = index[["video_id", "root", "path", "sha256"]].astype(object)
    tasks = rows.where(rows.notna(), None).to_dict("records")
    log, results = ErrorLog(out / "errors.jsonl"), {}
    function = functools.partial(compress_record, str(out), args.crf)
    outcomes = run_tasks(function, tasks, workers=args.workers, time_limit=args.time_limit)
    for position, fields, error in track(outcomes, total=len(tasks), what="videos"):
        if error is None:
            results[position] = fields
        else:
            task = tasks[position]
            path, video_id = str(task["path"]), task["video_id"]
            log.add(video_id=video_id, path=path, stage="compress", error=error)
    if not results:
        raise UsageError(f"none of the {len(tasks)} videos can be compressed; see {log.path}")
    command = shlex.join(["dfjax", *sys.argv[1:]])
    made = make_compressed_index(index, out, args.crf, results)
    write_index(made, target, command=command)
    size = int(made["bytes"].sum())
    print(f"{out}: {len(made)} videos at CRF {args.crf}, {size / 1e6:.1f} MB")
    if log.count:
        print(f"{log.count} videos could not be read and were left out: {log.path}")
    if args.json:
        print_json(
            {"index": str(target), "videos": len(made), "bytes": size, "unreadable": log.count}
        )
    return FINDING if log.count else OK
