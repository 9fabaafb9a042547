"""Writes the trained parameters of a workdir in another format.

safetensors: one tensor per parameter, named by its path with dots under `params.` and
`batch_stats.`; the header holds the resolved config, the version and the checkpoint, so that the
file alone says how to build the model it belongs to.

Example:
  dfjax export --workdir runs/demo/workdir --to safetensors --out dual_stream.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import dfjax
from dfjax.commands.main import add_json, print_json
from dfjax.errors import OK, UsageError, unknown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax export`."""
    parser.add_argument("--workdir", required=True, help="what `dfjax train` wrote")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="safetensors")
    parser.add_argument("--out", required=True, help="the file to write; replaced if it exists")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the file and prints where it is; returns 0."""
    from dfjax.exporting.formats import FORMATS

    if args.to not in FORMATS:
        raise unknown("format", args.to, FORMATS)
    out = Path(args.out)
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file")
    from dfjax.data.store.feature_pack import read_record
    from dfjax.inference.detector import load

    detector = load(args.workdir, checkpoint=args.checkpoint)
    metadata = {
        "format": "dfjax",
        "version": dfjax.__version__,
        "checkpoint": detector.checkpoint,
        "config": detector.config.to_dict(),
    }
    if detector.config.data.features:
        metadata["features"] = read_record(detector.workdir)  # what the part `backbone` is
    FORMATS[args.to](out, detector.variables, metadata)
    size = out.stat().st_size
    print(f"{out}: {size / 1e6:.1f} MB, checkpoint {detector.checkpoint}")
    if args.json:
        print_json(
            {"out": str(out), "format": args.to, "bytes": size, "checkpoint": detector.checkpoint}
        )
    return OK
