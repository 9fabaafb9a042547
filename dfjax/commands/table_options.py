"""Options of verbs that read predictions of other programs."""

import argparse
from typing import Any

from dfjax.errors import UsageError
from dfjax.evaluation.conventions.protocol_names import PROTOCOLS, STRICT
from dfjax.evaluation.tables.column_names import SCALES, TableForm, parse_columns


def add_table_options(parser: argparse.ArgumentParser, *, scores: bool = True) -> None:
    """Adds `--columns` (or `--map`), `--scale` and, with `scores`, `--scores`."""
    parser.add_argument(
        *("--columns", "--map"),
        metavar="NAME=COLUMN,…",
        help="columns of the tables, as video_id=filename",
    )
    parser.add_argument("--scale", choices=SCALES, help="scale of the scores (prob)")
    if scores:
        parser.add_argument("--scores", metavar="PATTERN", help="columns, as 'prob_*'")


def read_table_form(args: argparse.Namespace) -> TableForm:
    """Returns how tables are to be read."""
    return TableForm(parse_columns(args.columns) if args.columns else {}, args.scale)


def add_number_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--protocol` and `--first-frames`."""
    parser.add_argument("--protocol", default=STRICT, help=f"{' or '.join(PROTOCOLS)} ({STRICT})")
    parser.add_argument(
        "--first-frames", type=int, metavar="N", help="frames of a video, as benchmarks use"
    )


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the keyword arguments of `dfjax.evaluate` about tables and numbers.

    Raises:
        UsageError: Options of tables are given without tables.
    """
    if not args.predictions and (args.columns or args.scale or args.scores or args.threshold_from):
        raise UsageError("--columns, --scale, --scores and --threshold-from go with --predictions")
    form = read_table_form(args)
    return {
        "protocol": args.protocol,
        "first_frames": args.first_frames,
        "threshold_from": args.threshold_from,
        "columns": form.columns,
        "scale": form.scale,
    }
