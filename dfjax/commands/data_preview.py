"""Draw what a recipe makes of its clips: one picture that shows what training would see.

Example, the recipe of the EfficientNet-B4 classifier on drawn faces, without any data:

  dfjax data preview --config efficientnet_b4 --out sheet.png
  dfjax data preview --config dual_stream --config.data.path=work/pack --out sheet.png \\
        --config.augment.preset=deepfakebench --config.mix.cutmix=1.0 --config.data.self_blend=0.5

Above are clips of the first training batch as they were recorded, below them the same clips as the
model gets them, three times, and one of them over time. Then every operation of the preset alone,
through its range, and mixup, CutMix and self-blended fakes where the config has them on. Without
data.path a few synthetic videos are drawn.
"""

import argparse
import tempfile
from pathlib import Path

from dfjax.commands.main import add_json, print_json
from dfjax.config import load_config
from dfjax.errors import OK, UsageError

MOST_CLIPS = 12
VIDEOS, PEOPLE = 16, 8  # of the synthetic set


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
    """Draws the sheet and says where it is."""
    if args.clips % 2 or not 2 <= args.clips <= MOST_CLIPS:
        raise UsageError(f"--clips must be even, 2 to {MOST_CLIPS}, not {args.clips}")
    config = load_config(args.config, args.overrides)
    from dfjax.data.transforms.augment_presets import choose_augmentation
    from dfjax.evaluation.preview_sheet import draw_preview
    from dfjax.experiment import builders, run_data
    from dfjax.experiment.config_check import check_config
    from dfjax.experiment.preview import load_batch, make_sections

    if "features" in builders.model_extras(config):
        raise UsageError(f"{config.name} reads stored features: it sees no pictures to draw")
    check_config(config)
    config.train.batch_size, config.data.flow = args.clips, False
    if not config.data.path:
        frames = config.data.frames * config.data.stride
        size = config.preprocess.size
        config.data.synthetic.update(
            {"videos": VIDEOS, "identities": PEOPLE, "frames": frames, "size": size}
        )
    with tempfile.TemporaryDirectory(prefix="dfjax-preview-") as folder:
        pack = run_data.open_data(config, Path(folder))
        sections = make_sections(config, pack, load_batch(config, pack))
    size, data = config.preprocess.size, config.data.path or "synthetic faces"
    draw_preview(
        sections,
        args.out,
        title=f"{Path(args.config).name}: what training sees",
        subtitle=f"{data}, crops of {config.data.crop_size} px, model input {size} px",
    )
    print(f"wrote {args.out}")
    if args.json:
        operations = choose_augmentation(**config.augment).operations
        print_json({"out": args.out, "clips": args.clips, "operations": operations})
    return OK
