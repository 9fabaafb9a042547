"""Encode the videos of an index again with x264, to make classes equal or to test robustness.

  dfjax data compress --index work/index.parquet --out work/c40 --crf 40
  dfjax data extract --index work/c40/index.parquet --out work/crops40

Videos go to OUT/videos/VIDEO_ID.mp4, the new index (same ids, labels and splits, compression crfN)
to OUT/index.parquet. An image becomes a video of one frame. FaceForensics++ was published with CRF
23 and 40. Frames and their times are kept, sound is removed. The same command resumes an
interrupted one. Videos that cannot be read are left out and listed in OUT/errors.jsonl; the exit
code is then 1.
"""

from dfjax.commands.data import LIMITS, add_limits, command_line
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data compress`."""
    add = parser.add_argument
    add("--index", required=True, help="from `dfjax data index`")
    add("--out", required=True, help="folder for the videos and the new index")
    add("--crf", type=int, required=True, help="0 (lossless) to 51 (worst)")
    add_limits(parser, 3600.0, "video")


def run(args: Arguments) -> int:
    """Compresses what is missing and writes the index; returns 1 if videos were left out."""
    from dfjax.data.faces.compress import compress_index

    options = {"crf": args.crf, **args.select(*LIMITS), "command": command_line()}
    return show(args, compress_index(args.index, args.out, **options))
