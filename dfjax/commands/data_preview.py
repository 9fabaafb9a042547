"""Draw the training clips of a config before and after augmentation in one picture.

For example, for the augmentation of the EfficientNet-B4 classifier on synthetic faces:

  dfjax data preview --config efficientnet_b4 --out sheet.png
  dfjax data preview --config dual_stream --config.data.path=work/pack --out sheet.png \\
        --config.augment.preset=deepfakebench --config.mix.cutmix=1.0 --config.data.self_blend=0.5

The picture shows clips of the first training batch as recorded, the same clips after preprocessing
in three steps, and one of them over time. Then follow the operations of the preset, one at a time,
over their ranges, and mixup, CutMix and self-blended fakes if the config uses them. Without
data.path a few synthetic videos are generated.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, add_config, show
from dfjax.config import load_config


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data preview`."""
    add = parser.add_argument
    add_config(parser)
    add("--out", default="sheet.png", metavar="PNG", help="(sheet.png)")
    add("--clips", type=int, default=6, help="side by side, an even number (6)")


def run(args: Arguments) -> int:
    """Draws the sheet and prints where it is."""
    from dfjax.experiment.preview import preview  # takes seconds

    config = load_config(args.config, args.overrides)
    title = f"{Path(args.config).name}: what training sees"
    return show(args, preview(config, args.out, clips=args.clips, title=title))
