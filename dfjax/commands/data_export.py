"""Write crops and their labels in the format of another toolkit.

For example, for DeepfakeBench:

  dfjax data export --to deepfakebench --index work/crops/index.parquet --out bench
  cp -r bench/datasets bench/preprocessing DeepfakeBench/
  dfjax data index --adapter deepfakebench --root bench --out work/back.parquet

The first writes datasets/rgb/DATASET/…/frames/VIDEO/000.png and the JSON files in
preprocessing/dataset_json/, which lie as in DeepfakeBench's checkout; the last reads them back
without loss. Missing or damaged crops are left out and listed; the exit code is then 1.
"""

from dfjax.commands.main import Arguments, Parser, show
from dfjax.errors import unknown

FORMATS = ("deepfakebench",)


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data export`."""
    add = parser.add_argument
    add("--to", required=True, metavar="FORMAT", help="deepfakebench")
    add("--index", required=True, help="index.parquet of face crops")
    add("--out", required=True, help="a new folder")


def run(args: Arguments) -> int:
    """Exports, says what was written, and returns 1 when crops had to be left out."""
    if args.to not in FORMATS:
        raise unknown("format", args.to, FORMATS)
    from dfjax.data.store.deepfakebench_export import export_deepfakebench

    return show(args, export_deepfakebench(args.index, args.out))
