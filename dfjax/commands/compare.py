"""Compare detectors on the same videos: paired differences, intervals and corrected p-values.

  dfjax compare runs/first runs/second
  dfjax compare xception.csv runs/first --metric ap --out comparison

A detector is given by its predictions, as `evaluate` reads them, or by an evaluated workdir.
Only videos that all of them scored are used. The interval and the first p-value are from 1,000
paired resamples of groups of videos, p_delong is from DeLong's test of AUCs, and columns ending in
_holm are corrected for the number of pairs. --out writes comparison.json, .md and .csv.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show
from dfjax.commands.table_options import add_table_options


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax compare`."""
    add = parser.add_argument
    add("sources", nargs="+", type=Path, metavar="A B", help="files or workdirs")
    add("--split", default="test", help="train, val, test or all (test)")
    add("--metric", default="video_auc", help="metric with intervals (video_auc)")
    add("--index", type=Path, metavar="FILE", help="index with groups of videos")
    add("--names", nargs="+", metavar="NAME", help="names of the detectors")
    add("--out", type=Path, metavar="DIR", help="folder for comparison.*")
    add_table_options(parser, scores=False)


def run(args: Arguments) -> int:
    """Compares, prints the table and returns the exit code."""
    from dfjax.evaluation.comparison.detectors import compare

    options = args.select("split", "metric", "index", "names", "columns", "scale", "out")
    return show(args, compare(*args.sources, **options))
