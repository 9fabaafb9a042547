"""Write crops and their labels in the format of another toolkit.

For example, for DeepfakeBench:

  dfjax data export --to deepfakebench --index work/crops/index.parquet --out bench
  cp -r bench/datasets bench/preprocessing DeepfakeBench/
  dfjax data index --adapter deepfakebench --root bench --out work/back.parquet

The first writes datasets/rgb/DATASET/…/frames/VIDEO/000.png and the JSON files in
preprocessing/dataset_json/, which lie as in DeepfakeBench's checkout; the last reads them back
without loss. Missing or damaged crops are left out and listed; the exit code is then 1.
"""

import argparse

from dfjax.commands.main import add_json, finish, print_line
from dfjax.errors import unknown

FORMATS = ("deepfakebench",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data export`."""
    parser.add_argument("--to", required=True, metavar="FORMAT", help="deepfakebench")
    parser.add_argument("--index", required=True, help="index.parquet of face crops")
    parser.add_argument("--out", required=True, help="a new folder")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, says what was written, and returns 1 when crops had to be left out."""
    if args.to not in FORMATS:
        raise unknown("format", args.to, FORMATS)
    from dfjax.data.store.deepfakebench_export import export_deepfakebench

    report = export_deepfakebench(args.index, args.out)
    print_line(f"{args.out}: {report.videos} videos, {report.frames} frames")
    print_line("JSON files: " + ", ".join(report.tables))
    if report.labels:
        lines = ", ".join(f"{name}: {label}" for name, label in report.labels.items())
        print_line(f"add to label_dict in training/config/train_config.yaml: {lines}")
    for error in report.errors:
        print_line(f"dfjax: {error['video_id']}: {error['error']}", error=True)
    return finish(args, report._asdict() | {"out": args.out}, found=report.errors)
