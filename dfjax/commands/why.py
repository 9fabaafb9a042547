"""Explain the gap between two numbers of one table: the share of every convention that differs.

  dfjax why video_auc frame_auc --predictions scores.csv
  dfjax why video_auc video_auc:pooled,first=8 --predictions ffpp.csv
  dfjax why 0.921 0.974 --predictions ffpp.csv
  dfjax why video_auc video_auc:chosen=test --predictions epochs.csv --scores 'epoch_*'

A number is named by UNIT_METRIC (video or frame; auc, ap, eer or accuracy) and, after a colon, by
choices: first=N (first N frames of each video), pooled (videos of one folder name are one),
failed=drop|half|first (rows without a score), repeated=drop|keep (rows that repeat a key),
eer=interp|nearest, half=fake|real (a score of exactly 0.5), chosen=val|test (checkpoint). Without
choices it is the number of `evaluate`. Or it is the number itself, as published: the conventions
that give it are then searched. The shares are Shapley values, which add up to the gap; "alone" is
the change of A if only this one changes.
"""

import argparse
from pathlib import Path

from dfjax.commands.main import add_json, finish
from dfjax.commands.table_options import add_table_options, read_table_form
from dfjax.console import make_result_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax why`."""
    parser.add_argument("a", metavar="A", help="convention of the first number, or the number")
    parser.add_argument("b", metavar="B", help="convention of the second number, or the number")
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--split", help="split of the numbers; all: all rows (test)")
    parser.add_argument("--index", type=Path, metavar="FILE", help="index of the videos")
    add_table_options(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Explains the gap, prints the table and returns the exit code."""
    from dfjax.evaluation.conventions.convention import describe_convention
    from dfjax.evaluation.conventions.gap_tables import explain_numbers
    from dfjax.evaluation.report.markdown import format_markdown

    gap = explain_numbers(
        args.a,
        args.b,
        args.predictions,
        scores=args.scores or "",
        split=args.split,
        index=args.index,
        form=read_table_form(args),
    )
    numbers = ((gap.a, gap.value_a), (gap.b, gap.value_b))
    lines = [f"{describe_convention(one)}: {value:.6f}" for one, value in numbers]
    lines += [f"gap: {gap.gap:+.6f}", *gap.notes, "", format_markdown(gap.to_frame())]
    make_result_console().print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
    return finish(args, gap.describe())
