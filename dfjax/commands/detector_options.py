"""Options of `predict`, `evaluate` and `export` that name a detector or ask for several scores."""

import argparse
from pathlib import Path
from typing import Any


def add_detector_source(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Adds `--workdir`, `--weights` and `--model`; returns the group that the first two are in."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--workdir", type=Path, metavar="DIR", help="folder of a training run")
    source.add_argument(
        "--weights", type=Path, metavar="FILE", help="safetensors file of a detector"
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="config of --weights, if its header has none"
    )
    return source


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--mc-dropout`, `--ensemble`, `--flip` and `--seed`."""
    group = parser.add_argument_group("uncertainty", "these options can be combined")
    group.add_argument(
        "--mc-dropout", type=int, metavar="N", help="mean and spread of N passes with dropout"
    )
    group.add_argument(
        "--ensemble",
        nargs="+",
        action="extend",
        default=[],
        metavar="WORKDIR",
        help="further members: workdirs, or best and last of --workdir",
    )
    group.add_argument("--flip", action="store_true", help="mean of each clip and its mirror image")
    group.add_argument("--seed", type=int, default=0, help="seed of --mc-dropout (0)")


def read_scoring_options(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the options as keyword arguments of `predict` and `evaluate`."""
    return {
        "passes": args.mc_dropout or 0,
        "ensemble": tuple(args.ensemble),
        "flip": args.flip,
        "seed": args.seed,
    }
