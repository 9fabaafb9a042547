"""Optical flow between crops that a clip samples together, for recipes that use it.

Example, for a recipe of stride 3:

  dfjax data extract --index work/index.parquet --out work/crops --every 3
  dfjax data flow --index work/crops/index.parquet --out work/flow --stride 3
  dfjax data pack --index work/flow/index.parquet --out work/pack
  dfjax train --config=… --config.data.path=work/pack --config.data.flow=True

The flow is computed by dense inverse search (DIS), or read from --flo-root DIR, which holds
VIDEO_ID/FRAME.flo (FRAME as in the names of the crops) from RAFT, FlowFormer or another program. It
is stored in steps of 1/16 pixel. The same command continues where an interrupted one stopped.
Videos without flow are left out, listed in OUT/errors.jsonl, and the exit code is then 1.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from dfjax.commands.main import add_json, print_json
from dfjax.console import track
from dfjax.errors import FINDING, OK, UsageError

STRIDE = 3  # data.stride of most recipes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data flow`."""
    parser.add_argument("--index", required=True, help="index.parquet beside the extracted crops")
    parser.add_argument("--out", required=True, help="folder for flow and the new index")
    parser.add_argument(
        "--stride", type=int, default=STRIDE, help=f"frames between the two, data.stride ({STRIDE})"
    )
    parser.add_argument("--flo-root", metavar="DIR", help="read VIDEO_ID/FRAME.flo instead")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (cores)")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds a video (600)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Makes the flow that is missing and writes the index; returns 1 if videos were left out."""
    from dfjax.data.index.error_log import ErrorLog
    from dfjax.data.index.frame_paths import rebase_frames
    from dfjax.data.index.records import read_index, write_index
    from dfjax.data.store.flow_index import add_flow, make_flows, make_tasks

    for name in ("stride", "workers", "time_limit"):
        if getattr(args, name) <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be positive")
    if args.flo_root and not Path(args.flo_root).is_dir():
        raise UsageError(f"no folder at --flo-root {args.flo_root}")
    source, out = Path(args.index), Path(args.out)
    index = read_index(source)
    target = out / "index.parquet"
    if target.exists() and target.samefile(source):
        raise UsageError(f"--out {out} would overwrite the index it reads; choose another folder")
    tasks = make_tasks(index, source.parent, out, Path(args.flo_root) if args.flo_root else None)
    log = ErrorLog(out / "errors.jsonl")
    done: dict[int, list[int]] = {}
    outcomes = make_flows(tasks, args.stride, workers=args.workers, time_limit=args.time_limit)
    for position, starts, error in track(outcomes, total=len(tasks), what="videos"):
        if error is None:
            done[position] = starts
        else:
            video_id, path = tasks[position].video_id, str(index["path"].iloc[position])
            log.add(video_id=video_id, path=path, stage="flow", error=error)
    if not done:
        raise UsageError(f"none of the {len(tasks)} videos has flow; see {log.path}")
    moved = rebase_frames(index, source.parent, out)
    command = shlex.join(["dfjax", *sys.argv[1:]])
    write_index(add_flow(moved, out, tasks, done, args.stride), target, command=command)
    flows = sum(map(len, done.values()))
    print(f"{out}: {len(done)} videos, {flows} flows over {args.stride} source frames")
    if log.count:
        print(f"{log.count} videos have no flow and were left out: {log.path}", file=sys.stderr)
    if args.json:
        print_json(
            {"index": str(target), "videos": len(done), "flows": flows, "left_out": log.count}
        )
    return FINDING if log.count else OK
