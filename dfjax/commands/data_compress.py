"""Encode the videos of an index again with x264, to make classes equal or to test robustness.

  dfjax data compress --index work/index.parquet --out work/c40 --crf 40
  dfjax data extract --index work/c40/index.parquet --out work/crops40

Videos go to OUT/videos/VIDEO_ID.mp4, the new index (same ids, labels and splits, compression crfN)
to OUT/index.parquet. An image becomes a video of one frame. FaceForensics++ was published with CRF
23 and 40. Frames and their times are kept, sound is removed. The same command resumes an
interrupted one. Videos that cannot be read are left out and listed in OUT/errors.jsonl; the exit
code is then 1.
"""

import argparse

from dfjax.commands.data import add_limits, command_line
from dfjax.commands.main import add_json, finish, print_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data compress`."""
    parser.add_argument("--index", required=True, help="from `dfjax data index`")
    parser.add_argument("--out", required=True, help="folder for the videos and the new index")
    parser.add_argument("--crf", type=int, required=True, help="0 (lossless) to 51 (worst)")
    add_limits(parser, 3600.0, "video")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compresses what is missing and writes the index; returns 1 if videos were left out."""
    from dfjax.data.faces.compress import compress_index

    report = compress_index(
        args.index,
        args.out,
        crf=args.crf,
        workers=args.workers,
        time_limit=args.time_limit,
        command=command_line(),
    )
    n, size, left_out = report.videos, report.bytes, report.unreadable
    print_line(f"{args.out}: {n} videos at CRF {args.crf}, {size / 1e6:.1f} MB")
    if left_out:
        print_line(f"{left_out} videos could not be read and were left out: {report.errors}")
    values = {"index": str(report.index), "videos": n, "bytes": size, "unreadable": left_out}
    return finish(args, values, found=left_out)
