"""Explain the verdict on a video: heat maps, deciding frames, and whether they matter.

  dfjax explain --workdir runs/first clip.mp4 --out why
  dfjax explain --weights meso4.safetensors face.jpg --detector none --out why

Writes explanation.png (the deciding frames, Grad-CAM on each stream, the effect and attention of
each frame over time), explanation.mp4 (faces beside their heat maps) and explanation.json to --out.
The effect of a frame is how much the logit of the clip falls without it. Heat is evidence for fake.
Curves say whether a map matters: P(fake) where the hottest pixels are blurred (deletion), or alone
sharp (insertion), compared with random maps. A heat map says where a detector looks, and not
whether it is right.
"""

from pathlib import Path

from dfjax.commands.detector_options import add_detector_source
from dfjax.commands.main import Arguments, Parser, add_import, show

OPTIONS = ("out", "checkpoint", "model", "clips", "face_detector", "margin")


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax explain`."""
    add_detector_source(parser)
    add = parser.add_argument
    add("video", type=Path, metavar="VIDEO", help="video or image")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the files")
    add("--clips", type=int, default=4, help="clips of the video (4)")
    add("--checkpoint", default="best", help="best (default) or last")
    add("--detector", dest="face_detector", metavar="NAME", help="as in `dfjax predict`")
    add("--margin", type=float, help="side of the crop, in sides of the face")
    add_import(parser)


def run(args: Arguments) -> int:
    """Explains, prints a summary and returns the exit code."""
    from dfjax.inference.explain import explain

    return show(args, explain(args.workdir or args.weights, args.video, **args.select(*OPTIONS)))
