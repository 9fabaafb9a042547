"""Explain the verdict on a video: heat maps, deciding frames, and whether they matter.

  dfjax explain --workdir runs/first clip.mp4 --out why
  dfjax explain --weights meso4.safetensors face.jpg --detector none --out why

The verdict is that of `dfjax predict`. Writes explanation.png (the deciding frames with Grad-CAM of
all streams and of each, P(fake) over time, effect and attention of each frame, weights of streams),
explanation.mp4 (faces beside their heat maps) and explanation.json. The effect of a frame is how
much the logit of the clip falls without it. Heat is evidence for fake. Curves say whether a map
matters: P(fake) where the hottest pixels are blurred (deletion), or alone sharp (insertion), beside
random maps. A map says where a detector looks, and not whether it is right. --mask says where the
input is manipulated, as data sets publish it; the share of the heat in there is measured.

  dfjax explain --workdir runs/first fake.mp4 --mask masks/fake.mp4 --out why
"""

from pathlib import Path

from dfjax.commands.detector_options import JUDGING, add_detector_source, add_verdict_options
from dfjax.commands.main import Arguments, Parser, add_import, show

OPTIONS = (
    "out",
    "checkpoint",
    "model",
    "maps",
    "mask",
    "clips",
    "face_detector",
    "margin",
    *JUDGING,
)


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax explain`."""
    add_detector_source(parser)
    add = parser.add_argument
    add("video", type=Path, metavar="VIDEO", help="video or image")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the files")
    add("--maps", type=int, default=4, help="clips with heat maps, those that decide (4)")
    add("--mask", type=Path, metavar="FILE", help="video or image, bright where manipulated")
    add("--clips", type=int, help="clips of the video (as in `dfjax predict`)")
    add("--checkpoint", default="best", help="best (default) or last")
    add("--detector", dest="face_detector", metavar="NAME", help="as in `dfjax predict`")
    add("--margin", type=float, help="side of the crop, in sides of the face")
    add_verdict_options(parser)
    add_import(parser)


def run(args: Arguments) -> int:
    """Explains, prints a summary and returns the exit code."""
    from dfjax.inference.explain import explain

    return show(args, explain(args.workdir or args.weights, args.video, **args.select(*OPTIONS)))
