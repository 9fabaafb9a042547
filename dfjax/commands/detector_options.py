"""Options of `predict`, `evaluate` and `export` that name a detector or ask for several scores."""

import argparse
from pathlib import Path

from dfjax.commands.main import Parser

SCORING = ("passes", "ensemble", "flip", "seed")
"""Arguments of `add_scoring_options`, as `predict` and `evaluate` take them."""

JUDGING = ("calibrated", "false_alarm_rate", "miss_rate")
"""Arguments of `add_verdict_options`."""


def add_detector_source(parser: Parser) -> argparse._MutuallyExclusiveGroup:
    """Adds `--workdir`, `--weights` and `--model`; returns the group that the first two are in."""
    source = parser.add_mutually_exclusive_group(required=True)
    add, config = source.add_argument, "config of --weights, if its header has none"
    add("--workdir", type=Path, metavar="DIR", help="folder of a training run")
    add("--weights", type=Path, metavar="FILE", help="safetensors file of a detector")
    parser.add_argument("--model", default="", metavar="NAME", help=config)
    return source


def add_scoring_options(parser: Parser) -> None:
    """Adds `--mc-dropout`, `--ensemble`, `--flip` and `--seed`."""
    add = parser.add_argument_group("uncertainty", "these options can be combined").add_argument
    add("--mc-dropout", type=int, default=0, dest="passes", metavar="N",
        help="mean and spread of N passes with dropout")  # fmt: skip
    add("--ensemble", nargs="+", action="extend", default=[], metavar="WORKDIR",
        help="further members: workdirs, or best and last of --workdir")  # fmt: skip
    add("--flip", action="store_true", help="mean of each clip and its mirror image")
    add("--seed", type=int, default=0, help="seed of --mc-dropout (0)")


def add_verdict_options(parser: Parser) -> None:
    """Adds `--false-alarm-rate`, `--miss-rate` and `--no-calibration`."""
    add = parser.add_argument_group("calibration", "of `dfjax calibrate`").add_argument
    add("--false-alarm-rate", type=float, metavar="R", help="of verdicts on reals (its own)")
    add("--miss-rate", type=float, metavar="R", help="of verdicts on fakes (its own)")
    add("--no-calibration", action="store_false", dest="calibrated", help="do not use it")
