"""Compare detectors on the same videos: paired differences, intervals and corrected p-values.

  dfjax compare runs/first runs/second
  dfjax compare xception.csv runs/first --metric ap --out comparison

A detector is given by its predictions, as `evaluate` reads them, or by an evaluated workdir.
Only videos that all of them scored are used. The interval and the first p-value are from 1,000
paired resamples of groups of videos, p_delong is from DeLong's test of AUCs, and columns ending in
_holm are corrected for the number of pairs. --out writes comparison.json, .md and .csv.
"""

import argparse
from pathlib import Path

from dfjax.commands.main import add_json, finish
from dfjax.commands.table_options import add_table_options, read_table_form
from dfjax.console import make_result_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax compare`."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="A B", help="files or workdirs")
    parser.add_argument("--split", default="test", help="train, val, test or all (test)")
    parser.add_argument("--metric", default="video_auc", help="metric with intervals (video_auc)")
    parser.add_argument("--index", type=Path, metavar="FILE", help="index with groups of videos")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="names of the detectors")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for comparison.*")
    add_table_options(parser, scores=False)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compares, prints the table and returns the exit code."""
    from dfjax.evaluation.comparison.comparison_files import (
        COMPARISON_FILES,
        describe_comparison,
        write_comparison,
    )
    from dfjax.evaluation.comparison.detectors import compare
    from dfjax.outputs import check_outputs

    if args.out:
        check_outputs((args.out / name for name in COMPARISON_FILES), inputs=args.sources)
    options = {"split": args.split, "metric": args.metric, "index": args.index}
    form = read_table_form(args)
    options |= {"columns": form.columns, "scale": form.scale}
    comparison = compare(*args.sources, names=args.names, **options)
    make_result_console().print(repr(comparison), soft_wrap=True, highlight=False, markup=False)
    if args.out:
        write_comparison(comparison, args.out)
    return finish(args, describe_comparison(comparison))
