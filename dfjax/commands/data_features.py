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

With --beam-runner, Apache Beam divides the data over machines that share the files.
"""

from pathlib import Path

from dfjax.commands.data import BEAM, add_beam, command_line
from dfjax.commands.main import Arguments, Parser, add_import, show

BACKBONE_OPTIONS = (
    *("backbone", "weights", "size", "width", "one_block", "padding", "seed"),
    *("workdir", "checkpoint"),
)


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data features`."""
    add = parser.add_argument
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, metavar="PACK", help="of `dfjax data pack`")
    data.add_argument("--index", type=Path, help="index.parquet beside the extracted crops")
    add("--out", type=Path, required=True, help="folder of the features")
    add("--backbone", metavar="NAME", help="b0 (default) to b7, resnet50, …")
    add("--weights", type=Path, metavar="FILE", help="its safetensors")
    add("--size", type=int, help="of its images, px (that of FILE, or 224)")
    add("--width", type=float, help="multiplies its widths (1)")
    add("--one-block", action="store_true", default=None, help="per stage: a toy")
    add("--padding", help="flavour (auto: the architecture's own)")
    add("--seed", type=int, help="of a backbone without weights (0)")
    add("--workdir", type=Path, metavar="DIR", help="of a detector, instead")
    add("--checkpoint", default="best", help="of --workdir: best (default) or last")
    add("--batch-size", type=int, default=64, help="frames at a time (64)")
    dtypes = ("float16", "float32")
    add("--dtype", default="float16", choices=dtypes, help="of features (float16)")
    add("--workers", type=int, help="threads (one per core)")
    add("--fresh", action="store_true", help="replace features that are already in --out")
    add_beam(parser)
    add_import(parser)


def run(args: Arguments) -> int:
    """Computes what is missing, says what there is, and returns 1 if videos were left out."""
    from dfjax.data.faces.crop_files import open_crop_files
    from dfjax.data.store.pack_reader import open_pack
    from dfjax.inference.feature_backbones import make_backbone
    from dfjax.inference.feature_extraction import extract_features

    crops = open_pack(args.data) if args.data else open_crop_files(args.index)
    options = args.select("batch_size", "dtype", "fresh", *BEAM) | {"threads": args.workers}
    options |= {"source": args.data or args.index, "command": command_line()}
    backbone = make_backbone(**args.select(*BACKBONE_OPTIONS))
    return show(args, extract_features(crops, backbone, args.out, **options))
