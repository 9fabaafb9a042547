"""The table of one protocol, as papers print it: detectors by test sets.

  dfjax protocol cross_dataset mine=runs/mine --data celebdf_v2=celebdf/pack --out tables/mine
  dfjax protocol within_domain xception=xception.csv mine=mine.parquet --out tables/within

A protocol is a file in configs/protocols/: within_domain, cross_dataset, cross_manipulation,
compression, leave_one_method_out, or one of yours. A detector is a workdir, a weights file or a
file of predictions; its columns dataset, method and compression say what a row is of. Workdirs are
evaluated on the test split of each pack of --data (of the run's data without it). --out gets
table.md, table.csv, table.tex and table.json, with intervals; all but .tex with numbers of videos.
Exit code 1: a test set has no videos, or no detector, and its cells are empty.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show
from dfjax.commands.table_options import add_number_options, add_table_options, read_table_form


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax protocol`."""
    add = parser.add_argument
    add("name", metavar="FILE|NAME", help="a protocol of configs/protocols/")
    add("detectors", nargs="+", metavar="NAME=SOURCE", help="rows of the table")
    add("--data", nargs="+", default=[], metavar="NAME=INDEX", help="test data")
    add("--metric", default="", help="metric of metrics.json (video_auc)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    add("--split", help="split of files of predictions; all: all rows (test)")
    add_number_options(parser)
    add_table_options(parser, scores=False)


def run(args: Arguments) -> int:
    """Evaluates, prints the table and returns the exit code."""
    from dfjax.evaluation.conventions.benchmark_protocol import Numbers
    from dfjax.studies.protocols import parse_named, run_protocol

    detectors, data = parse_named(args.detectors, "detectors"), parse_named(args.data, "data")
    options = args.select("out", "metric", "split") | {"form": read_table_form(args)}
    numbers = Numbers(args.protocol, args.first_frames)
    return show(args, run_protocol(args.name, detectors, data=data, numbers=numbers, **options))
