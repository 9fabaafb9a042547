r"""Detect and crop faces: OUT/crops/VIDEO_ID/FRAME.jpg and OUT/index.parquet.

For example:

  dfjax data extract --index work/index.parquet --out work/crops
  dfjax data extract --index work/index.parquet --out work/crops --every 3 --size 256

  dfjax data extract --index work/index.parquet --out work/aligned --detector yunet \
    --detector-model yunet.onnx --align --min-quality score=0.8

The face that is large, central and present for long is tracked. Boxes of frames without a detection
are interpolated; a video without any face gives centre crops (face_found is false; both are
counted). --faces mask takes the face under the manipulation mask of the data set, and --faces all
every face that is present for long: face k > 0 is a row VIDEO_ID#k, with k in the column face.
--align rotates faces upright by five landmarks. The quality of every crop (quality, face_size,
face_score, face_frontal, face_visible) is stored; --min-quality leaves crops out. The index records
how faces were cropped (the crop recipe), and `dfjax predict` crops them in the same way.

Faces found by another program (--detector precomputed --detector-model FILE) are JSON
{VIDEO: {FRAME: {"boxes": [[x0, y0, x1, y1], …], "landmarks": [[x, y, …], …]}}} or CSV with columns
video, frame, x0, y0, x1, y1 and lx0, ly0, …, lx4, ly4; VIDEO is a video_id or a path of the index.

--masks also crops the mask videos that the data set publishes (mask_path of the index) in the same
way, to OUT/masks/VIDEO_ID/FRAME.png, for the loss of a mask head (loss.mask). Masks that cannot be
read are listed in OUT/errors.jsonl (exit code 1), and fakes without one are counted.

The same command continues where an interrupted one stopped. Videos that cannot be read are left
out and listed in OUT/errors.jsonl; the exit code is then 1.

With --beam-runner, Apache Beam divides the videos over machines that share the files.
"""

import argparse
from typing import Any

from dfjax.commands.data import BEAM, LIMITS, add_beam, add_limits, command_line
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data extract`."""
    add = parser.add_argument
    add("--index", required=True, help="from `dfjax data index`")
    add("--out", required=True, help="folder for crops and the new index")
    add_crop_options(parser)
    add_limits(parser, 600.0, "video")
    add_beam(parser)


def add_crop_options(parser: Parser) -> None:
    """Adds what `extract` and `prepare` share: how faces are found and cut."""
    add = parser.add_argument
    add("--detector", help="haar (default), yunet, mtcnn, blazeface, facemesh, precomputed, none")
    add("--detector-model", metavar="FILE", help="its file or folder; JSON or CSV of precomputed")
    add("--min-face", type=int, metavar="PX", help="mtcnn: side of the smallest face (40)")
    add("--faces", help="best (default), mask or all")
    add("--align", action="store_true", help="turn faces upright by landmarks")
    add("--masks", action="store_true", help="also crop the manipulation masks of the data set")
    add(
        "--min-quality", action="append", default=[], metavar="NAME=X", type=_threshold,
        help="leave out crops below: sharpness, size (px), score, frontal, visible (0 to 1)",
    )  # fmt: skip
    add("--size", type=int, help="side of a crop in px (256)")
    add("--margin", type=float, help="crop side / face side (1.3)")
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument("--frames", type=int, help="per video, spread evenly (32; prepare: all)")
    frames.add_argument("--every", type=int, help="every N-th frame instead")


def _threshold(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=NUMBER") from None


def read_crop_options(args: Arguments) -> dict[str, Any]:
    """Returns the given options of `add_crop_options`, as fields of `ExtractionSettings`."""
    names = ("detector", "detector_model", "min_face", "faces", "size", "margin", "frames", "every")
    values = args.select(*names)
    values |= {"align": args.align or None, "masks": args.masks or None}
    values |= {"min_quality": tuple(sorted(args.min_quality)) or None}
    return {name: value for name, value in values.items() if value is not None}


def run(args: Arguments) -> int:
    """Extracts what is missing and writes the index; returns 1 if videos had to be left out."""
    from dfjax.data.faces.extract_index import extract_index
    from dfjax.data.faces.settings import ExtractionSettings

    options = read_crop_options(args)
    if "every" in options:
        options["frames"] = None  # in place of the default
    settings = ExtractionSettings(**options)
    how = args.select(*LIMITS, *BEAM) | {"command": command_line()}
    return show(args, extract_index(args.index, args.out, settings, **how))
