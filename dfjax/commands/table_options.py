"""Options of verbs that read predictions of other programs."""

import argparse
from typing import Any

from dfjax.errors import UsageError
from dfjax.evaluation.column_names import SCALES, TableForm, parse_columns
from dfjax.evaluation.protocol_names import PROTOCOLS, STRICT


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--map`, `--scale` and `--scores`."""
    parser.add_argument(
        "--map", metavar="NAME=COLUMN,…", help="columns of the tables, as video_id=filename"
    )
    parser.add_argument("--scale", choices=SCALES, help="scale of the scores (prob)")
    parser.add_argument("--scores", metavar="PATTERN", help="columns of detectors, as 'prob_*'")


def add_number_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--protocol`, `--first-frames` and `--threshold-from`."""
    parser.add_argument("--protocol", default=STRICT, help=f"{' or '.join(PROTOCOLS)} ({STRICT})")
    parser.add_argument(
        "--first-frames", type=int, metavar="N", help="frames of a video, as benchmarks use"
    )
    parser.add_argument(
        "--threshold-from", metavar="FILE", help="validation predictions that fix a threshold"
    )


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the keyword arguments `Reading` of an evaluation."""
    form = read_table_form(args)
    if args.threshold_from and not args.predictions:
        raise UsageError("--threshold-from goes with --predictions")
    return {
        "protocol": args.protocol,
        "first_frames": args.first_frames,
        "threshold_from": args.threshold_from,
        "columns": form.columns,
        "scale": form.scale,
    }


def read_table_form(args: argparse.Namespace) -> TableForm:
    """Returns how tables are to be read.

    Raises:
        UsageError: The options are given without tables, or `--map` names no columns.
    """
    if not args.predictions and (args.map or args.scale or args.scores):
        raise UsageError("--map, --scale and --scores go with --predictions")
    return TableForm(parse_columns(args.map) if args.map else {}, args.scale)
