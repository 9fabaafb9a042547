"""Explain the gap between two numbers of one table: the share of every convention that differs.

  dfjax why video_auc frame_auc --predictions scores.csv
  dfjax why video_auc video_auc:pooled,first=8 --predictions ffpp.csv
  dfjax why 0.921 0.974 --predictions ffpp.csv
  dfjax why video_auc video_auc:chosen=test --predictions epochs.csv --scores 'epoch_*'

A number is named by UNIT_METRIC (video or frame; auc, ap, eer or accuracy) and, after a colon, by
choices: first=N (first N frames of each video), pooled (videos of one folder name are one),
failed=drop|half|first (rows without a score), repeated=drop|keep (rows that repeat a key),
eer=interp|nearest, half=fake|real (class that a score of exactly 0.5 counts as), chosen=val|test
(split that the checkpoint is chosen on). Without choices it is the number of `evaluate`. Or it is
the number itself, as published: the conventions that give it are then searched. The shares are
Shapley values, which add up to the gap; "alone" is the change of A if only this one changes.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show
from dfjax.commands.table_options import add_table_options, read_table_form


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax why`."""
    add = parser.add_argument
    add("a", metavar="A", help="convention of the first number, or the number")
    add("b", metavar="B", help="convention of the second number, or the number")
    add("--predictions", type=Path, nargs="+", required=True, metavar="FILE")
    add("--split", help="split of the numbers; all: all rows (test)")
    add("--index", type=Path, metavar="FILE", help="index of the videos")
    add_table_options(parser)


def run(args: Arguments) -> int:
    """Explains the gap, prints the table and returns the exit code."""
    from dfjax.evaluation.conventions.gap_tables import explain_numbers
    from dfjax.evaluation.report.markdown import format_markdown

    options = args.select("scores", "split", "index") | {"form": read_table_form(args)}
    gap = explain_numbers(args.a, args.b, args.predictions, **options)
    return show(args, gap, "", *format_markdown(gap.to_frame()).splitlines())
