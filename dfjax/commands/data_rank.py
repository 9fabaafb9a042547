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

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data rank`."""
    add = parser.add_argument
    add("--by", required=True, help="uncertainty, confidence, loss or disagreement")
    add("--predictions", type=Path, nargs="+", required=True, metavar="FILE", help="tables")
    add("--top", type=int, metavar="N", help="number of videos (all)")
    add("--out", type=Path, required=True, help="CSV file to write")


def run(args: Arguments) -> int:
    """Ranks, writes the table and prints its first videos."""
    from dfjax.evaluation.report.ranking import rank_videos

    return show(args, rank_videos(args.predictions, **args.select("by", "top", "out")))
