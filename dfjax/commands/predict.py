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

--html writes a page on each input too: the verdict and its limits, the score over time, the faces,
and heat maps of the deciding frames (`dfjax explain` writes more).

--mc-dropout, --ensemble and --flip score a clip several times: fake_prob is the mean, fake_prob_sd
the standard deviation, entropy the total uncertainty (natural logarithm) and mutual_information its
part due to disagreement. Inputs precede --ensemble, which takes all arguments that follow.

  dfjax predict clip.mp4 --workdir runs/dual --mc-dropout 20 --ensemble runs/head last --flip

Where `dfjax calibrate` has calibrated the checkpoint, the verdict is fake, real or undecided at its
error rates, calibrated_prob is beside fake_prob, and a note says if the inputs are not like those
of the calibration, so that nothing is guaranteed. --no-calibration: verdicts by the threshold 0.5.

With --beam-runner and --out, Apache Beam divides the inputs over machines that share the files;
OUT.dead_letters.jsonl lists the inputs that failed, and the stage.

For an input that cannot be scored one line with the reason is printed; the others are scored, and
the exit code is then 1.
"""

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from dfjax.commands.data import BEAM, add_beam
from dfjax.commands.detector_options import (
    JUDGING,
    SCORING,
    add_detector_source,
    add_scoring_options,
    add_verdict_options,
)
from dfjax.commands.main import Arguments, Parser, add_import, finish, print_line

if TYPE_CHECKING:
    from dfjax.inference.verdict import Verdict

OPTIONS = (
    *("model", "out", "html", "checkpoint", "batch_size", "clips", "workers", "time_limit"),
    *("face_detector", "face_model", "margin", "align", "min_face_share"),
    *BEAM,
)
"""Arguments of the verb that are arguments of `dfjax.predict`."""


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax predict`."""
    add_detector_source(parser)
    add = parser.add_argument
    add("inputs", type=Path, nargs="+", metavar="INPUT", help="file or folder")
    add("--out", type=Path, metavar="DIR", help="PNG strips and predictions.jsonl")
    add("--html", action="store_true", help="a page on each input too, with heat maps")
    add("--batch-size", type=int, help="clips per batch (config's, at most 32; 16 frames on a CPU)")
    add("--clips", type=int, help="clips per input, 0: cover it (as in evaluation)")
    add("--checkpoint", default="best", help="best (default) or last")
    add("--workers", type=int, help="processes that decode (one per core)")
    add("--time-limit", type=float, default=600.0, help="seconds per input (600)")
    add_beam(parser)
    add = parser.add_argument_group("faces", "(as the training crops were cut)").add_argument
    add("--detector", dest="face_detector", metavar="NAME", help="as in `dfjax data extract`")
    add("--detector-model", dest="face_model", type=Path, metavar="FILE", help="its file or folder")
    add("--margin", type=float, help="side of the crop, in sides of the face")
    add("--align", action=argparse.BooleanOptionalAction, help="turn faces upright")
    add("--min-face-share", type=float, metavar="X", help="least share of frames with a face (0.5)")
    add_scoring_options(parser)
    add_verdict_options(parser)
    add_import(parser)


def run(args: Arguments) -> int:
    """Scores the inputs and returns the exit code."""
    from dfjax.inference.media import find_inputs

    inputs = find_inputs(args.inputs)  # before JAX is loaded
    from dfjax.inference.predict import predict

    options = args.select(*OPTIONS, *SCORING, *JUDGING)
    show = functools.partial(_show, json=args.json)
    verdicts = predict(args.workdir or args.weights, inputs, **options, on_verdict=show)
    if failed := sum(verdict.status == "error" for verdict in verdicts):
        print_line(f"dfjax: {failed} of {len(verdicts)} inputs could not be scored", error=True)
    if faceless := sum(verdict.face_share == 0.0 for verdict in verdicts):
        note = f"note: no face was found in {faceless} of {len(verdicts)} inputs; --detector none"
        print_line(f"{note} is meant for images and videos that are face crops already", error=True)
    if args.out:
        print_line(f"written to {args.out}", error=True)
    return finish(args, {"results": [verdict.to_dict() for verdict in verdicts]}, found=failed)


def _show(verdict: "Verdict", *, json: bool) -> None:
    """Prints one line as soon as an input is done, unless JSON was asked for."""
    if verdict.status == "error":
        print_line(f"dfjax: {verdict.to_line()}", error=True)
    elif not json:
        print_line(verdict.to_line())
