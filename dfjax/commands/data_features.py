"""Compute features of every face crop once by a frame backbone, for models that read features.

Examples, with ImageNet weights, and with the backbone of a trained frame classifier:

  dfjax data features --data work/pack --backbone b0 --weights b0.safetensors --out work/features
  dfjax data features --data work/pack --workdir runs/frames --out work/features
  dfjax train --config=transformer_head --workdir=runs/head --config.data.features=work/features

The features are the mean over the backbone's last map, stored as float16 with the same rows, splits
and frames as the data. --out also stores the parameters of the backbone and the preprocessing; a
detector that is trained on the features copies them and can score videos. Without weights the
parameters of the backbone are random, and features.json states this.

The same command continues where an interrupted one stopped. Videos that cannot be read are left
out, listed in OUT/errors.jsonl, and the exit code is then 1.
"""

import argparse
from pathlib import Path

from dfjax.commands.data import command_line
from dfjax.commands.main import add_import, add_json, finish, print_line

BACKBONE_OPTIONS = ("backbone", "weights", "size", "width", "one_block", "padding", "seed")


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
    dtypes = ("float16", "float32")
    parser.add_argument("--dtype", default="float16", choices=dtypes, help="of features (float16)")
    parser.add_argument("--workers", type=int, help="threads (one per core)")
    parser.add_argument(
        "--fresh", action="store_true", help="replace features that are already in --out"
    )
    add_import(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Computes what is missing, says what there is, and returns 1 if videos were left out."""
    from dfjax.data.faces.crop_files import open_crop_files
    from dfjax.data.store.pack_reader import open_pack
    from dfjax.inference.feature_backbones import make_backbone
    from dfjax.inference.feature_extraction import extract_features

    backbone = make_backbone(
        workdir=args.workdir,
        checkpoint=args.checkpoint,
        **{name: getattr(args, name) for name in BACKBONE_OPTIONS},
    )
    done = extract_features(
        open_pack(args.data) if args.data else open_crop_files(args.index),
        backbone,
        args.out,
        source=args.data or args.index,
        batch_size=args.batch_size,
        dtype=args.dtype,
        threads=args.workers,
        fresh=args.fresh,
        command=command_line(),
    )
    parameters = backbone.record["parameters"]
    print_line(f"{done.describe()}, {parameters}")
    if done.errors:
        said = f"{len(done.errors)} videos or frames left out, see {args.out}/errors.jsonl"
        print_line(f"dfjax: {said}", error=True)
    return finish(args, done.to_json() | {"parameters": parameters}, found=done.errors)
