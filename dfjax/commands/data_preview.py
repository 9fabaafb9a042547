"""Draw what a config makes of its clips: one picture that shows what training would see.

Example, the EfficientNet-B4 classifier's augmentation on drawn faces, without any data:

  dfjax data preview --config efficientnet_b4 --out sheet.png
  dfjax data preview --config dual_stream --config.data.path=work/pack --out sheet.png \\
        --config.augment.preset=deepfakebench --config.mix.cutmix=1.0 --config.data.self_blend=0.5

Above are clips of the first training batch as they were recorded, below them the same clips as the
model gets them, three times, and one of them over time. Then every operation of the preset alone,
through its range, and mixup, CutMix and self-blended fakes where the config has them on. Without
data.path a few synthetic videos are drawn.
"""

import argparse
from pathlib import Path

from dfjax.commands.main import add_json, print_json
from dfjax.config import load_config
from dfjax.errors import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data preview`."""
    parser.add_argument(
        "--config", required=True, metavar="FILE|NAME[:VARIANT]", help="the experiment"
    )
    parser.add_argument("--out", default="sheet.png", metavar="PNG", help="(sheet.png)")
    parser.add_argument("--clips", type=int, default=6, help="side by side, an even number (6)")
    parser.set_defaults(overrides=[])
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Draws the sheet and prints where it is."""
    from dfjax.data.transforms.augment_presets import choose_augmentation
    from dfjax.experiment.preview import preview  # takes seconds

    config = load_config(args.config, args.overrides)
    title = f"{Path(args.config).name}: what training sees"
    preview(config, args.out, clips=args.clips, title=title)
    print(f"wrote {args.out}")
    if args.json:
        operations, one_of = choose_augmentation(**config.augment)
        print_json(
            {"out": args.out, "clips": args.clips, "operations": operations, "one_of": one_of}
        )
    return OK
