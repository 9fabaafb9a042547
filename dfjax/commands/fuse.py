"""Combine detectors by a rule that is fitted to validation predictions: votes, means, weights.

  dfjax fuse runs/first runs/second --out fusion.json
  dfjax fuse xception.csv effort.csv --method mean_logit --out fusion.json
  dfjax fuse runs/a runs/b --method stacking --tables a/oof.parquet b/oof.parquet --split all \\
      --out fusion.json

Methods: majority (vote, ties by the mean), mean_prob, mean_logit, confidence (mean weighted by
|2 p - 1|), weights (logistic regression of the logits) and stacking (the same with a penalty chosen
by cross-validation, for the out-of-fold predictions of cross-validation). Detectors are workdirs
that were evaluated on --split, or tables of predictions with rows of that split; videos are joined
by data set and id. The table has every detector and the rule, fitted without the fold of a video.

The file is used like a workdir. Videos that the rule was fitted to are refused in an evaluation.

  dfjax evaluate --workdir fusion.json --split test
  dfjax predict --workdir fusion.json clip.mp4
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax fuse`."""
    add = parser.add_argument
    add("sources", nargs="+", type=Path, metavar="A B", help="workdirs, or tables")
    add("--out", type=Path, required=True, metavar="F.json", help="fusion file to write")
    add("--method", default="weights", help="rule (weights)")
    add("--tables", nargs="+", type=Path, default=[], metavar="FILE", help="to fit the rule to")
    add("--split", default="val", help="split of the predictions, or all (val)")
    add("--names", nargs="+", metavar="NAME", help="names of the detectors")
    add("--index", type=Path, metavar="FILE", help="index with groups of videos")
    add("--nonnegative", action="store_true", help="learned weights are not negative")
    add("--seed", type=int, default=0, help="seed of the folds (0)")


def run(args: Arguments) -> int:
    """Fits the rule, prints the table and returns the exit code."""
    from dfjax.inference.fuse import fuse

    names = ("out", "method", "tables", "split", "names", "index", "nonnegative", "seed")
    return show(args, fuse(*args.sources, **args.select(*names)))
