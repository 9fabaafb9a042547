"""Restore the faces of videos and images with a trained generator, and mark the results.

  dfjax defake --workdir runs/defake clip.mp4 photo.jpg folder/ --out restored
  dfjax defake --workdir runs/defake --detector runs/dual folder/ --out restored --json

Faces are found and cut as the crop recipe of the training data says; --face-detector, --margin and
--align override it (--face-detector none: the inputs are face crops already). A video of any length
is restored in windows of the generator's length, which are blended where they overlap. What was
changed is pasted back below a soft mask, and the audio is copied. An image becomes a PNG file, a
video an MP4 file.

Every result is marked: a label in its corner (unless --no-visible-mark), a text in its metadata,
and NAME.restored.json beside it with the hashes of the input and the checkpoint. `dfjax predict`
and `dfjax data index` recognise marked files.

With --detector, the scores of a deepfake detector before and after restoration are printed, of the
files as they are, label and compression included; its crops follow its own recipe, but with
--face-detector if that is given. The same command skips finished files. A file that cannot be
restored is listed, and the others are restored (exit code 1).
"""

import argparse
from pathlib import Path

from dfjax.commands.main import Arguments, Parser, add_import, show

OPTIONS = (
    *("detector", "checkpoint", "visible_mark", "faces", "overlap", "batch_size"),
    *("face_detector", "face_model", "margin", "align", "workers"),
)
"""Arguments of the verb that are arguments of `dfjax.defake`."""


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax defake`."""
    add = parser.add_argument
    add("inputs", type=Path, nargs="+", metavar="INPUT", help="file or folder")
    add("--workdir", type=Path, required=True, metavar="DIR", help="a run of a generator")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    add("--detector", type=Path, metavar="W", help="detector: workdir or safetensors file")
    add("--checkpoint", default="best", help="best (default) or last")
    add("--no-visible-mark", dest="visible_mark", action="store_false", help="without the label")
    add("--overlap", type=int, help="frames that two windows share (a quarter of a window)")
    add("--batch-size", type=int, help="windows that are restored at a time (the config's)")
    add("--workers", type=int, help="processes that decode for --detector (one per core)")
    add = parser.add_argument_group("faces", "by default as the training crops").add_argument
    add("--faces", default="best", help="best (default): the main face; all: every face")
    add("--face-detector", metavar="NAME", help="as --detector of `dfjax data extract`")
    add("--face-model", type=Path, metavar="FILE", help="its file or folder")
    add("--margin", type=float, help="side of the crop, in sides of the face")
    add("--align", action=argparse.BooleanOptionalAction, help="turn faces upright")
    add_import(parser)


def run(args: Arguments) -> int:
    """Restores the inputs and returns the exit code."""
    from dfjax.inference.defake import defake

    result = defake(args.workdir, args.inputs, args.out, **args.select(*OPTIONS))
    return show(args, result, text=not args.json)
