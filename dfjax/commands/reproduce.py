"""Recompute a metrics.json from its predictions, and name what differs.

  dfjax reproduce results/metrics.json
  dfjax reproduce runs/first/eval/test

Every metrics.json of `dfjax evaluate` has the hashes of the files that its numbers depend on
(predictions, index, checkpoint, config), the settings and the code. A file that changed or is
missing, another version of the code, and numbers that are not computed again are listed. The
numbers are computed again from predictions.parquet beside the file, not from the tables it was made
of, whose hashes are compared.
Exit code 1: something differs.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax reproduce`."""
    parser.add_argument("metrics", type=Path, metavar="metrics.json", help="the file or its folder")


def run(args: Arguments) -> int:
    """Recomputes, prints what differs and returns the exit code."""
    from dfjax.evaluation.report.reproduction import reproduce

    return show(args, reproduce(args.metrics))
