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

import argparse
from pathlib import Path

from dfjax.commands.main import add_json, finish, print_line

SHOWN = 12
"""Number of differences that are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax reproduce`."""
    parser.add_argument("metrics", type=Path, metavar="metrics.json", help="the file or its folder")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Recomputes, prints what differs and returns the exit code."""
    from dfjax.evaluation.report.reproduction import reproduce

    result = reproduce(args.metrics)
    for one in result.differences[:SHOWN]:
        print_line(f"{one.what}: {one.recorded} was recorded, now {one.found}")
    count = len(result.differences)
    if count > SHOWN:
        print_line(f"and {count - SHOWN} more, which --json lists")
    said = f"{count} differ" if count > 1 else "1 differs" if count else "nothing differs"
    print_line(f"{result.files} files, {result.numbers} values compared: {said}")
    return finish(args, result.describe(), found=result.differences)
