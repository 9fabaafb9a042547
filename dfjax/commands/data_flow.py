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

from dfjax.commands.data import LIMITS, add_limits, command_line
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data flow`."""
    add = parser.add_argument
    add("--index", required=True, help="index.parquet beside the extracted crops")
    add("--out", required=True, help="folder for flow and the new index")
    add("--stride", type=int, default=3, help="frames between the two (3)")
    add("--flo-root", metavar="DIR", help="read VIDEO_ID/FRAME.flo instead")
    add_limits(parser, 600.0, "video")


def run(args: Arguments) -> int:
    """Makes the flow that is missing and writes the index; returns 1 if videos were left out."""
    from dfjax.data.store.flow_index import write_flow

    options = args.select("stride", "flo_root", *LIMITS)
    return show(args, write_flow(args.index, args.out, **options, command=command_line()))
