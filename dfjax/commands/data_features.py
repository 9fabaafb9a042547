"""Features of every face crop, computed once by a frame backbone, for models that read those.

Examples: by ImageNet weights, and by the backbone of a trained frame classifier:

  dfjax data features --data work/pack --backbone b0 --weights b0.safetensors --out work/features
  dfjax data features --data work/pack --workdir runs/frames --out work/features
  dfjax train --config=transformer_head --workdir=runs/head --config.data.features=work/features

The features are the mean over the backbone's last map, stored as float16 with the same rows, splits
and frames as the data. --out also keeps the backbone's parameters and the preprocessing: a detector
that is trained on the features takes them along and scores videos by itself. Without weights the
backbone is drawn at random, and features.json says so.

The same command continues where an interrupted one stopped. Videos that cannot be read are left
out, listed in OUT/errors.jsonl, and the exit code is then 1.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dfjax.commands.main import add_json, print_json
from dfjax.errors import FINDING, OK, UsageError

if TYPE_CHECKING:
    from dfjax.data.faces.crop_files import CropFiles
    from dfjax.data.store.pack_reader import Pack
    from dfjax.experiment.frozen_backbone import FrozenBackbone

BACKBONE_OPTIONS = ("weights", "size", "width", "one_block", "padding", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data features`."""
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, metavar="PACK", help="of `dfjax data pack`")
    data.add_argument("--index", type=Path, help="index.parquet beside the extracted crops")
    parser.add_argument("--out", type=Path, required=True, help="folder of the features")
    parser.add_argument("--backbone", metavar="NAME", help="b0 (default) to b7, resnet50, …")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="its safetensors")
    parser.add_argument("--size", type=int, help="of its images, px (224)")
    parser.add_argument("--width", type=float, help="multiplies its widths (1)")
    parser.add_argument("--one-block", action="store_true", default=None, help="per stage: a toy")
    parser.add_argument("--padding", help="flavour (auto: the architecture's own)")
    parser.add_argument("--seed", type=int, help="of a backbone without weights (0)")
    parser.add_argument("--workdir", type=Path, metavar="DIR", help="of a detector, instead")
    parser.add_argument("--checkpoint", default="best", help="of --workdir: best (default) or last")
    parser.add_argument("--batch-size", type=int, default=64, help="frames at a time (64)")
    parser.add_argument("--dtype", default="float16", help="float16 (default) or float32")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads (cores)")
    parser.add_argument(
        "--fresh", action="store_true", help="replace features that are already in --out"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Computes what is missing, says what there is, and returns 1 if videos were left out."""
    _check(args)
    crops = _open_crops(args)
    backbone = _make_backbone(args)
    if backbone.record["parameters"].startswith("random"):
        print(
            f"warning: {backbone.record['parameters']}: the backbone was never trained; give "
            "--weights or --workdir",
            file=sys.stderr,
        )
    from dfjax.inference.feature_extraction import extract

    report = extract(
        crops,
        backbone,
        args.out,
        source=args.data or args.index,
        batch_size=args.batch_size,
        dtype=args.dtype,
        threads=args.workers,
        fresh=args.fresh,
        command=shlex.join(["dfjax", *sys.argv[1:]]),
    )
    frames = int(report.pack.index["frame_indices"].map(len).sum())
    verb = "reused" if report.reused else "computed"
    print(
        f"{verb} {args.out}: {len(report.pack)} videos, {frames} frames, {report.pack.width} "
        f"numbers each, {backbone.record['parameters']}"
    )
    if report.errors:
        print(
            f"dfjax: {len(report.errors)} videos or frames left out, see {args.out}/errors.jsonl",
            file=sys.stderr,
        )
    if args.json:
        summary = {"out": str(args.out), "videos": len(report.pack), "frames": frames}
        summary |= {"features": report.pack.width, "parameters": backbone.record["parameters"]}
        print_json(summary | {"errors": len(report.errors), "reused": report.reused})
    return FINDING if report.errors else OK


def _check(args: argparse.Namespace) -> None:
    for name in ("batch_size", "workers", "size", "width"):
        value = getattr(args, name)
        if value is not None and value <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be positive")
    if args.dtype not in ("float16", "float32"):
        raise UsageError(f"--dtype is float16 or float32, not {args.dtype}")
    given = [name for name in ("backbone", *BACKBONE_OPTIONS) if getattr(args, name) is not None]
    if args.workdir and given:
        option = given[0].replace("_", "-")
        raise UsageError(f"--{option} describes another backbone than that of --workdir")
    if args.weights and args.seed is not None:
        raise UsageError("--seed draws parameters, --weights gives them: choose one")


def _open_crops(args: argparse.Namespace) -> "Pack | CropFiles":
    from dfjax.console import track
    from dfjax.data.faces.crop_files import open_crop_files
    from dfjax.data.store.pack_reader import open_pack

    return open_pack(args.data) if args.data else open_crop_files(args.index, track)


def _make_backbone(args: argparse.Namespace) -> "FrozenBackbone":
    from dfjax.inference.feature_backbones import draw_at_random, from_weights, from_workdir

    if args.workdir:
        return from_workdir(args.workdir, args.checkpoint)
    given = {name: getattr(args, name) for name in ("width", "one_block", "padding")}
    options = {name: value for name, value in given.items() if value is not None}
    name, size = args.backbone or "b0", args.size or 224
    if args.weights:
        return from_weights(name, options, args.weights, size)
    return draw_at_random(name, options, args.seed or 0, size)
