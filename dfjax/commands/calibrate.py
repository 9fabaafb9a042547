"""Calibrate a detector on its validation videos: probabilities, and verdicts with error rates.

  dfjax calibrate --workdir runs/dual --false-alarm-rate 0.05
  dfjax calibrate --weights meso4.safetensors --index work/pack

Scores the split val and writes calibration.json and calibration.png to the workdir, which `predict`
and `evaluate` of the same checkpoint then use. Of temperature, Platt and isotonic calibration the
one with the lowest cross-validated log loss is chosen. Verdicts are by split conformal prediction
for each class: a real video is called fake with at most the probability --false-alarm-rate, a fake
one real with at most --miss-rate, and what cannot be told at these rates is undecided. That needs
19 groups of validation videos of a class for a rate of 0.05, and 99 for 0.01.

The guarantee is for videos like those of the validation split. A file for the scores of --ensemble,
--mc-dropout or --flip is used with the same options only.
"""

from pathlib import Path

from dfjax.commands.detector_options import SCORING, add_detector_source, add_scoring_options
from dfjax.commands.main import Arguments, Parser, add_import, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax calibrate`."""
    add_detector_source(parser)
    add = parser.add_argument
    add("--checkpoint", default="best", help="best (default) or last")
    add("--index", type=Path, metavar="FILE", help="data with a split val (the run's)")
    add("--kind", default="auto", help="temperature, platt, isotonic, none or auto (auto)")
    add("--false-alarm-rate", type=float, default=0.05, metavar="R", help="of reals (0.05)")
    add("--miss-rate", type=float, metavar="R", help="of fakes (the same)")
    add_scoring_options(parser)
    add_import(parser)


def run(args: Arguments) -> int:
    """Calibrates, prints the tables and returns the exit code."""
    from dfjax.inference.calibrate import calibrate

    names = ("checkpoint", "index", "kind", "false_alarm_rate", "miss_rate", "model")
    return show(args, calibrate(args.workdir or args.weights, **args.select(*names, *SCORING)))
