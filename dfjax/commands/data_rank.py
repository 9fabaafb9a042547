"""Rank videos for labelling or review, by uncertainty, confidence, loss or disagreement.

Examples, for videos without labels by the disagreement of dropout passes, and for videos that two
detectors score differently:

  dfjax predict pool/ --workdir runs/dual_stream --mc-dropout 20 --out scores
  dfjax data rank --by uncertainty --predictions scores/predictions.jsonl --top 50 --out rank.csv

  dfjax data rank --by disagreement --predictions a.parquet b.parquet --out rank.csv

--by is one of
  uncertainty   mutual information, which --mc-dropout and --ensemble of evaluate and predict give
  confidence    min(p, 1 - p)
  loss          the loss of the label, which finds wrong labels and hard videos
  disagreement  the standard deviation of P(fake) over the files

Files are tables of `dfjax evaluate`, predictions.jsonl of `dfjax predict`, or any table with
video_id and fake_prob (or logit). They are joined by id, and labels may be missing.
"""

import argparse
import sys
from pathlib import Path

from dfjax.commands.main import add_json, finish
from dfjax.console import make_result_console

SHOWN = 20  # rows on the screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data rank`."""
    parser.add_argument("--by", required=True, help="uncertainty, confidence, loss or disagreement")
    parser.add_argument(
        "--predictions", type=Path, nargs="+", required=True, metavar="FILE", help="tables"
    )
    parser.add_argument("--top", type=int, metavar="N", help="number of videos (all)")
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Ranks, writes the table and prints its first videos."""
    from dfjax.evaluation.report.ranking import make_table, rank_videos

    videos, left_out = rank_videos(args.predictions, args.by, top=args.top, out=args.out)
    make_result_console().print(
        make_table(videos.head(SHOWN), f"{len(videos)} videos by {args.by}")
    )
    if len(videos) > SHOWN:
        print(f"… and {len(videos) - SHOWN} more")
    if left_out:
        print(f"dfjax: {left_out} videos have no {args.by}: left out", file=sys.stderr)
    print(f"written to {args.out}")
    rows = videos.astype(object).where(videos.notna(), None).to_dict("records")
    summary = {"by": args.by, "out": str(args.out), "left_out": left_out}
    return finish(args, summary | {"videos": rows})
