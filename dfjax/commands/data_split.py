"""Assign videos to train, val and test so that no person is in two of them.

For example:

  dfjax data split --index work/crops/index.parquet --by identity --out work/crops/split.parquet
  dfjax data split --index work/index.parquet --by official --repair origin --out work/fixed.parquet
  dfjax data split --index work/index.parquet --by group --folds 5 --out work/folds.parquet
  dfjax data split --index work/folds.parquet --fold 2/5 --out work/round2.parquet

Connected videos are in one split: a real video with its fakes and its group, and with
  --by group      nothing else
  --by identity   all videos that share a person, directly or through others
  --by origin     all videos cut from one recording
  --by official   keeps the split of the index; --repair origin moves the fewest units so that no
                  recording (identity, group) is in two splits, and does not move any other
  --by complete   the same, with train and val assigned where the data set has none
Connected videos are assigned as a unit, with the same proportions for every combination of the
--stratify columns as far as possible. The order is a hash of the seed and the smallest id of a
unit, so the same videos have the same split. --folds writes the column `fold` (0 to K-1); --fold
2/5 makes the splits of that round: its own fold is the test split, the next one is val.
"""

from dfjax.commands.data import add_ratios, command_line
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data split`."""
    add = parser.add_argument
    add("--index", required=True, help="the index to split")
    add("--out", required=True, help="the index to write (Parquet)")
    add("--by", help="official, complete, group, identity or origin")
    add_ratios(parser, "shares of the splits (0.8,0.1,0.1)")
    add("--stratify", type=_names, help="columns (label,method,dataset); '' for none")
    add("--seed", type=int, help="another one gives another split (0)")
    add("--folds", type=int, metavar="K", help="cross-validation: column `fold`")
    add("--fold", metavar="N/K", help="splits of round N of an index with folds")
    add("--repair", metavar="LINK", help="official: origin, identity or group")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def run(args: Arguments) -> int:
    """Writes the index with its new splits and says what is in them."""
    from dfjax.data.index.split_index import split_index

    options = args.select("by", "ratios", "stratify", "seed", "folds", "fold", "repair")
    return show(args, split_index(args.index, args.out, **options, command=command_line()))
