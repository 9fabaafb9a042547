"""The table of one protocol, as papers print it: detectors by test sets.

  dfjax protocol cross_dataset mine=runs/mine --data celebdf_v2=celebdf/pack --out tables/mine
  dfjax protocol within_domain xception=xception.csv mine=mine.parquet --out tables/within

A protocol is a file in configs/protocols/: within_domain, cross_dataset, cross_manipulation,
compression, leave_one_method_out, or one of yours. A detector is a workdir, a weights file or a
file of predictions; its columns dataset, method and compression say what a row is of. Workdirs are
evaluated on the test split of each pack of --data (of the run's data without it). --out gets
table.md, table.csv, table.tex and table.json; .md and .json have intervals and numbers of videos.
Exit code 1: a test set has no videos, or no detector, and its cells are empty.
"""

import argparse
from pathlib import Path

from dfjax.commands.main import add_json, finish, print_line
from dfjax.commands.table_options import add_number_options, add_table_options, read_table_form
from dfjax.console import make_result_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax protocol`."""
    parser.add_argument("name", metavar="FILE|NAME", help="a protocol of configs/protocols/")
    parser.add_argument("detectors", nargs="+", metavar="NAME=SOURCE", help="rows of the table")
    parser.add_argument("--data", nargs="+", default=[], metavar="NAME=INDEX", help="test data")
    parser.add_argument("--metric", default="", help="metric of metrics.json (video_auc)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    parser.add_argument("--split", help="split of files of predictions; all: all rows (test)")
    add_number_options(parser)
    add_table_options(parser, scores=False)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints the table and returns the exit code."""
    from dfjax.evaluation.conventions.benchmark_protocol import Numbers
    from dfjax.studies.protocols import parse_named, run_protocol

    result = run_protocol(
        args.name,
        parse_named(args.detectors, "detectors"),
        data=parse_named(args.data, "data"),
        out=args.out,
        metric=args.metric,
        numbers=Numbers(args.protocol, args.first_frames),
        form=read_table_form(args),
        split=args.split,
    )
    make_result_console().print(
        result.table.markdown, soft_wrap=True, markup=False, highlight=False
    )
    for note in [*result.missing, *result.notes]:
        print_line(note, error=True)
    print_line(f"written to {args.out}: table.md table.csv table.tex table.json")
    return finish(args, result.table.describe(), found=result.missing)
