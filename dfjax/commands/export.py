"""Write the trained parameters of a detector in another format.

safetensors: one tensor per parameter, named by its path with dots under `params.` and
`batch_stats.`; the header contains the resolved config, the version and the checkpoint, so that the
model can be built from the file alone.

Example:
  dfjax export --workdir runs/demo/workdir --to safetensors --out dual_stream.safetensors
"""

from dfjax.commands.detector_options import add_detector_source
from dfjax.commands.main import Arguments, Parser, add_import, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax export`."""
    add = parser.add_argument
    add_detector_source(parser)
    add("--to", required=True, metavar="FORMAT", help="safetensors")
    add("--out", required=True, help="the file to write; replaced if it exists")
    add("--checkpoint", choices=("best", "last"), default="best")
    add_import(parser)


def run(args: Arguments) -> int:
    """Writes the file and prints where it is; returns 0."""
    from dfjax.inference.export import export

    options = args.select("out", "checkpoint", "model")
    return show(args, export(args.workdir or args.weights, args.to, **options))
