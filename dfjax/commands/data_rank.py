"""Which videos to label (or to look at) next: the most uncertain ones first.

Examples: by what passes of dropout disagree about, on videos without labels, and by the spread of
two detectors:

  dfjax predict pool/ --workdir runs/dual_stream --mc-dropout 20 --out scores
  dfjax data rank --by uncertainty --predictions scores/predictions.jsonl --top 50 --out rank.csv

  dfjax data rank --by disagreement --predictions a.parquet b.parquet --out rank.csv

--by uncertainty: mutual information, of --mc-dropout or --ensemble. confidence: min(p, 1 - p).
loss: of the label, which finds wrong labels and hard videos. disagreement: standard deviation of
P(fake) over the files. Files are tables of `dfjax evaluate`, predictions.jsonl of `dfjax predict`,
or anyone's with video_id and fake_prob (or logit); they are joined by id. Labels may be missing.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dfjax.commands.main import add_json, print_json
from dfjax.errors import OK, UsageError, unknown

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20  # rows on the screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data rank`."""
    parser.add_argument("--by", required=True, help="uncertainty, confidence, loss or disagreement")
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--top", type=int, metavar="N", help="only so many (all)")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Ranks, prints the first videos, and writes the table."""
    if args.top is not None and args.top < 1:
        raise UsageError("--top must be positive")
    if args.out.is_dir():
        raise UsageError(f"--out {args.out} is a folder; name a file")
    from dfjax.evaluation.ranking import RANKINGS, rank, read_unlabelled
    from dfjax.files import atomic_path

    if args.by not in RANKINGS:
        raise unknown("--by", args.by, RANKINGS)
    ranking = rank([read_unlabelled(path) for path in args.predictions], args.by)
    videos = ranking.videos.head(args.top) if args.top else ranking.videos
    with atomic_path(args.out) as partial:
        videos.to_csv(partial, index=False)
    _print(videos, args.by)
    if ranking.left_out:
        print(f"dfjax: {ranking.left_out} videos have no {args.by}: left out", file=sys.stderr)
    print(f"written to {args.out}")
    if args.json:
        rows = videos.astype(object).where(videos.notna(), None).to_dict("records")
        summary = {"by": args.by, "out": str(args.out), "left_out": ranking.left_out}
        print_json(summary | {"videos": rows})
    return OK


def _print(videos: "pd.DataFrame", by: str) -> None:
    """Prints the first videos as a table."""
    import pandas as pd
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 120  # a log is not cut off where a terminal would be
    table = Table(title=f"{len(videos)} videos by {by}", title_justify="left", box=None)
    for name in ("rank", "P(fake)", "value", "label", "video"):
        table.add_column(name, justify="left" if name == "video" else "right", no_wrap=True)
    for row in videos.head(SHOWN).itertuples():
        label = "–" if pd.isna(row.label) else ("real", "fake")[row.label]
        table.add_row(
            str(row.rank), f"{row.fake_prob:.3f}", f"{row.value:.4f}", label, escape(row.video_id)
        )
    console.print(table)
    if len(videos) > SHOWN:
        print(f"… and {len(videos) - SHOWN} more")
