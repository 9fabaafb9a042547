"""Fake probability of videos, images and folders of them.

  dfjax predict --workdir runs/dual clip.mp4 photo.jpg folder/
  dfjax predict --workdir runs/dual folder/ --out scores --json
  dfjax predict --weights meso4.safetensors clip.mp4

Reads videos (mp4, avi, mov, mkv, webm, wmv, ts, …) and images (jpg, png, webp, gif, avif); folders
are searched to any depth, and files of other kinds in them are counted. Faces are found and
cut as the crop recipe of the training data says; --detector, --margin and --align override it
(--detector none: the input is a face crop already). Clips are cut as in evaluation. An input scores
the mean P(fake) of its clips: verdict fake from 0.5, confidence max(p, 1 - p).

--out writes one PNG per input (frames with the face's box, score over time) and appends an audit
line per input to predictions.jsonl (hashes of the file and the checkpoint, score, version, time).

--mc-dropout, --ensemble and --flip score a clip several times: fake_prob is the mean, fake_prob_sd
the standard deviation, entropy the total uncertainty (natural logarithm) and mutual_information its
part due to disagreement. Inputs precede --ensemble, which takes all arguments that follow.

  dfjax predict clip.mp4 --workdir runs/dual --mc-dropout 20 --ensemble runs/head last --flip

For an input that cannot be scored one line with the reason is printed; the others are scored, and
the exit code is then 1.
"""

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from dfjax.commands.detector_options import (
    add_detector_source,
    add_scoring_options,
    read_scoring_options,
)
from dfjax.commands.main import add_import, add_json, finish, print_line

if TYPE_CHECKING:
    from dfjax.inference.verdict import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax predict`."""
    add_detector_source(parser)
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="file or folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="PNG strips and predictions.jsonl")
    parser.add_argument("--batch-size", type=int, help="clips per batch (the config's, at most 32)")
    parser.add_argument("--clips", type=int, help="clips per input, 0: cover it (as in evaluation)")
    parser.add_argument("--checkpoint", default="best", help="best (default) or last")
    parser.add_argument("--workers", type=int, help="processes that decode (one per core)")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds per input (600)")
    faces = parser.add_argument_group("faces", "by default as the training crops were cut")
    faces.add_argument("--detector", metavar="NAME", help="as in `dfjax data extract`")
    faces.add_argument("--detector-model", type=Path, metavar="FILE", help="its file or folder")
    faces.add_argument("--margin", type=float, help="side of the crop, in sides of the face")
    faces.add_argument("--align", action=argparse.BooleanOptionalAction, help="turn faces upright")
    faces.add_argument(
        "--min-face-share", type=float, metavar="X",
        help="share of frames with a face below which an input is not scored (the config's, 0.5)",
    )  # fmt: skip
    add_scoring_options(parser)
    add_import(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Scores the inputs and returns the exit code."""
    from dfjax.inference.media import find_inputs

    inputs = find_inputs(args.inputs)  # before JAX is loaded
    from dfjax.inference.predict import predict

    verdicts = predict(
        args.workdir or args.weights,
        inputs,
        model=args.model,
        out=args.out,
        checkpoint=args.checkpoint,
        batch_size=args.batch_size,
        clips=args.clips,
        face_detector=args.detector,
        face_model=args.detector_model,
        margin=args.margin,
        align=args.align,
        min_face_share=args.min_face_share,
        workers=args.workers,
        time_limit=args.time_limit,
        on_verdict=functools.partial(_show, json=args.json),
        **read_scoring_options(args),
    )
    failed = sum(verdict.status == "error" for verdict in verdicts)
    if failed:
        print_line(f"dfjax: {failed} of {len(verdicts)} inputs could not be scored", error=True)
    faceless = sum(verdict.face_share == 0.0 for verdict in verdicts)
    if faceless:
        print_line(
            f"note: no face was found in {faceless} of {len(verdicts)} inputs; --detector none is "
            "meant for images and videos that are face crops already",
            error=True,
        )
    if args.out:
        print_line(f"written to {args.out}", error=True)
    return finish(args, {"results": [verdict.to_dict() for verdict in verdicts]}, found=failed)


def _show(verdict: "Verdict", *, json: bool) -> None:
    """Prints one line as soon as an input is done, unless JSON was asked for."""
    if verdict.status == "error":
        print_line(f"dfjax: {verdict.to_line()}", error=True)
    elif not json:
        print_line(verdict.to_line())
