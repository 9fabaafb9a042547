"""Options of `predict` and `evaluate` that give several scores per clip."""

import argparse
from typing import Any


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """Declares `--mc-dropout`, `--ensemble`, `--flip` and `--seed`."""
    group = parser.add_argument_group("uncertainty", "all of them combine")
    group.add_argument(
        "--mc-dropout", type=int, metavar="N", help="mean and spread of N passes with dropout on"
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
    group.add_argument("--seed", type=int, default=0, help="of --mc-dropout (0)")


def read_scoring_options(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the keyword arguments of `predict` and `evaluate` that the options ask for."""
    return {
        "passes": args.mc_dropout or 0,
        "ensemble": tuple(args.ensemble),
        "flip": args.flip,
        "seed": args.seed,
    }
