"""Options of verbs that read predictions of other programs."""

from typing import Any

from dfjax.commands.main import Arguments, Parser
from dfjax.errors import UsageError
from dfjax.evaluation.conventions.protocol_names import PROTOCOLS, STRICT
from dfjax.evaluation.tables.column_names import SCALES, TableForm, parse_columns


def add_table_options(parser: Parser, *, scores: bool = True) -> None:
    """Adds `--columns` (or `--map`), `--scale` and, with `scores`, `--scores`."""
    add, help = parser.add_argument, "columns of the tables, as video_id=filename"
    add("--columns", "--map", type=parse_columns, metavar="NAME=COLUMN,…", default={}, help=help)
    add("--scale", choices=SCALES, help="scale of the scores (prob)")
    if scores:
        add("--scores", default="", metavar="PATTERN", help="columns, as 'prob_*'")


def read_table_form(args: Arguments) -> TableForm:
    """Returns how tables are to be read."""
    return TableForm(args.columns, args.scale)


def add_number_options(parser: Parser) -> None:
    """Adds `--protocol` and `--first-frames`."""
    add, frames = parser.add_argument, "frames of a video, as benchmarks use"
    add("--protocol", default=STRICT, help=f"{' or '.join(PROTOCOLS)} ({STRICT})")
    add("--first-frames", type=int, metavar="N", help=frames)


def read_options(args: Arguments) -> dict[str, Any]:
    """Returns the keyword arguments of `dfjax.evaluate` about tables and numbers.

    Raises:
        UsageError: Options of tables are given without tables.
    """
    if not args.predictions and (args.columns or args.scale or args.scores or args.threshold_from):
        raise UsageError("--columns, --scale, --scores and --threshold-from go with --predictions")
    names = ("protocol", "first_frames", "threshold_from", "columns", "scale")
    return args.select(*names)
