"""Optical flow between crops that a clip samples together, for recipes that use it.

Example, for a recipe of stride 3:

  dfjax data extract --index work/index.parquet --out work/crops --every 3
  dfjax data flow --index work/crops/index.parquet --out work/flow --stride 3
  dfjax data pack --index work/flow/index.parquet --out work/pack
  dfjax train --config=… --config.data.path=work/pack --config.data.flow=True

The flow is computed by dense inverse search (DIS), or read from --flo-root DIR, which holds
VIDEO_ID/FRAME.flo (FRAME as in the names of the crops) from RAFT, FlowFormer or another program. It
is stored in steps of 1/16 pixel. The same command continues where an interrupted one stopped.
Videos without flow are left out and listed in OUT/errors.jsonl; the exit code is then 1.
"""

import argparse

from dfjax.commands.data import add_limits, command_line
from dfjax.commands.main import add_json, finish, print_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data flow`."""
    parser.add_argument("--index", required=True, help="index.parquet beside the extracted crops")
    parser.add_argument("--out", required=True, help="folder for flow and the new index")
    parser.add_argument("--stride", type=int, default=3, help="frames between the two (3)")
    parser.add_argument("--flo-root", metavar="DIR", help="read VIDEO_ID/FRAME.flo instead")
    add_limits(parser, 600.0, "video")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Makes the flow that is missing and writes the index; returns 1 if videos were left out."""
    from dfjax.data.store.flow_index import write_flow

    report = write_flow(
        args.index,
        args.out,
        stride=args.stride,
        flo_root=args.flo_root,
        workers=args.workers,
        time_limit=args.time_limit,
        command=command_line(),
    )
    n, flows, left_out = report.videos, report.flows, report.left_out
    print_line(f"{args.out}: {n} videos, {flows} flows over {args.stride} source frames")
    if left_out:
        print_line(f"{left_out} videos have no flow and were left out: {report.errors}", error=True)
    values = {"index": str(report.index), "videos": n, "flows": flows, "left_out": left_out}
    return finish(args, values, found=left_out)
