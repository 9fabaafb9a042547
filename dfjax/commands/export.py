"""Write the trained parameters of a detector in another format.

safetensors: one tensor per parameter, named by its path with dots under `params.` and
`batch_stats.`; the header contains the resolved config, the version and the checkpoint, so that the
model can be built from the file alone.

Example:
  dfjax export --workdir runs/demo/workdir --to safetensors --out dual_stream.safetensors
"""

import argparse

from dfjax.commands.detector_options import add_detector_source
from dfjax.commands.main import add_import, add_json, finish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax export`."""
    add_detector_source(parser)
    parser.add_argument("--to", required=True, metavar="FORMAT", help="safetensors")
    parser.add_argument("--out", required=True, help="the file to write; replaced if it exists")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    add_import(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the file and prints where it is; returns 0."""
    from dfjax.inference.export import export

    done = export(
        args.workdir or args.weights,
        args.to,
        out=args.out,
        checkpoint=args.checkpoint,
        model=args.model,
    )
    print(f"{done.out}: {done.bytes / 1e6:.1f} MB, checkpoint {done.checkpoint}")
    return finish(args, done._asdict() | {"out": str(done.out)})
