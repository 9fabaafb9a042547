"""Deal videos into train, val and test so that nobody is in two of them.

For example:

  dfjax data split --index work/crops/index.parquet --by identity --out work/crops/split.parquet
  dfjax data split --index work/index.parquet --by official --repair origin --out work/fixed.parquet
  dfjax data split --index work/index.parquet --by group --folds 5 --out work/folds.parquet
  dfjax data split --index work/folds.parquet --fold 2/5 --out work/round2.parquet

The unit is what hangs together: a real with its fakes and its group, and further
  --by group      nothing else
  --by identity   all videos that share a person, directly or through others
  --by origin     all videos cut from one recording
  --by official   keeps the split of the index; --repair origin moves the fewest units so that no
                  recording (identity, group) is on two sides, and leaves all others where they were
Whole units are dealt out, every combination of the --stratify columns in the same proportions as
far as units allow. The order is a hash of the seed and of each unit's smallest id: the same videos
give the same split. --folds writes the column `fold` (0 to K-1); --fold 2/5 makes the splits of
that round: its own fold is the test, the next one validates.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfjax.commands.main import add_json, print_json
from dfjax.errors import OK, UsageError

if TYPE_CHECKING:
    import pandas as pd

GIANT = 0.5  # share of the videos in one unit from which ratios fail
DEALING = ("ratios", "stratify", "seed", "folds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data split`."""
    parser.add_argument("--index", required=True, type=Path, help="the index to split")
    parser.add_argument("--out", required=True, type=Path, help="the index to write (Parquet)")
    parser.add_argument("--by", help="official, group, identity or origin")
    parser.add_argument("--ratios", type=_ratios, help="train,val,test (0.8,0.1,0.1)")
    parser.add_argument("--stratify", help="columns (label,method,dataset); '' for none")
    parser.add_argument("--seed", type=int, help="another one gives another split (0)")
    parser.add_argument("--folds", type=int, metavar="K", help="cross-validation: column `fold`")
    parser.add_argument("--fold", metavar="N/K", help="splits of round N of an index with folds")
    parser.add_argument("--repair", metavar="LINK", help="official: origin, identity or group")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the index with its new splits and says what is in them."""
    from dfjax.data.index.frame_paths import rebase_frames
    from dfjax.data.index.records import read_index, write_index

    _check(args)
    index = read_index(args.index)
    result, moved = _split(index, args)
    if "pack_row" in result:  # the pack's records keep their old splits
        result = result.drop(columns="pack_row")
        print("note: to train on the new splits, pack the crops again", file=sys.stderr)
    result = rebase_frames(result, args.index.parent, args.out.parent)
    write_index(result, args.out, command=shlex.join(["dfjax", *sys.argv[1:]]))
    _report(index, result, moved, args)
    return OK


def _check(args: argparse.Namespace) -> None:
    if (args.by is None) == (args.fold is None):
        raise UsageError("say --by official, group, identity or origin (or --fold N/K)")
    given = [name for name in DEALING if getattr(args, name) is not None]
    if given and (args.fold or (args.by == "official" and args.folds)):
        where = "--fold" if args.fold else "--by official"
        raise UsageError(f"--{given[-1]} does not go with {where}, which deals nothing out")
    if given and args.by == "official":
        unused = ", ".join(f"--{name}" for name in given)
        print(f"note: --by official deals nothing out: no use for {unused}", file=sys.stderr)
    if args.repair and args.by != "official":
        raise UsageError("--repair goes with --by official; the others cut nothing apart")
    if args.ratios and args.folds:
        raise UsageError("--folds are equally large: leave --ratios out")


def _split(
    index: "pd.DataFrame", args: argparse.Namespace
) -> tuple["pd.DataFrame", list[tuple[str, str, str]]]:
    """Returns the index with new splits or folds, and the units that a repair moved."""
    from dfjax.data.index import splits

    if args.fold:
        return index.assign(split=splits.split_by_round(index, args.fold)), []
    if args.by == "official":
        if not index["split"].isin(splits.PARTS).any():
            raise UsageError("the index has no official split: every video is in split none")
        if not args.repair:
            return index, []
        repaired = splits.repair(index, args.repair)
        return index.assign(split=repaired.split), repaired.moved
    _warn_of_giants(index, args.by)
    columns = splits.STRATIFY if args.stratify is None else args.stratify.split(",")
    dealing: dict[str, Any] = {
        "by": args.by,
        "stratify": tuple(name.strip() for name in columns if name.strip()),
        "seed": args.seed or 0,
    }
    if args.folds:
        return index.assign(fold=splits.assign_folds(index, folds=args.folds, **dealing)), []
    ratios = args.ratios or (0.8, 0.1, 0.1)
    return index.assign(split=splits.split_by_ratios(index, ratios=ratios, **dealing)), []


def _warn_of_giants(index: "pd.DataFrame", by: str) -> None:
    """Where everybody is forged onto everybody, by identity there is little left to deal out."""
    import numpy as np

    from dfjax.data.index.components import find_components
    from dfjax.data.index.splits import UNITS

    if by in UNITS and len(index):
        largest = np.bincount(find_components(index, UNITS[by])).max() / len(index)
        if largest > GIANT:
            print(
                f"note: one unit of connected videos holds {largest:.0%} of them, so the ratios "
                "cannot be met; another --by may allow more",
                file=sys.stderr,
            )


def _report(
    before: "pd.DataFrame",
    after: "pd.DataFrame",
    moved: list[tuple[str, str, str]],
    args: argparse.Namespace,
) -> None:
    import pandas as pd

    column = "fold" if args.folds else "split"
    table = pd.crosstab(after["method"], after[column], margins=True, margins_name="all")
    parts = [name for name in ("train", "val", "test", "none") if name in table]
    print((table if args.folds else table[[*parts, "all"]]).to_string())
    for unit, origin, goal in moved:
        print(f"moved {origin} -> {goal}: {unit} and what belongs to it")
    changed = int((before["split"] != after["split"]).sum())
    print(f"{args.out}: {len(after)} videos, {changed} in another split than before")
    if args.json:
        counts = after[column].value_counts()
        print_json(
            {
                "index": str(args.out),
                "videos": len(after),
                column + "s": {str(name): int(n) for name, n in counts.items()},
                "changed": changed,
                "moved": [{"unit": u, "from": a, "to": b} for u, a, b in moved],
            }
        )


def _ratios(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or min(values) < 0 or not 0 < sum(values) < float("inf"):
        raise argparse.ArgumentTypeError("three shares, not negative: train,val,test")
    return values
