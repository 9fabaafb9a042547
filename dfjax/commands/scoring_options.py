"""Options of `predict` and `evaluate` for several scores per clip."""

import argparse
from typing import Any


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
