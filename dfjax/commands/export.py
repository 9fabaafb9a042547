"""Write a trained detector or generator in another format, read it back and compare it.

safetensors has the parameters and the config: `--weights FILE` and `dfjax.load` read it like a
workdir. deepfakebench and keras are weights of these programs, for detectors that they have. onnx
(extra `export`), stablehlo (CPU, GPU and TPU) and torch (torch.export) are programs that read
`clip` uint8 [B, T, H, W, 3], face crops at the size of the config, and `flow` float32 where the
model needs it, and return `fake_prob` float32 [B], those of a generator `restored` uint8.

Example:
  dfjax export --workdir runs/demo/workdir --to onnx --out dual_stream.onnx
"""

from dfjax.commands.detector_options import add_detector_source
from dfjax.commands.main import Arguments, Parser, add_import, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax export`."""
    add = parser.add_argument
    add_detector_source(parser)
    add("--to", required=True, metavar="FORMAT", help="one of those above")
    add("--out", required=True, help="the file to write; replaced if it exists")
    add("--checkpoint", choices=("best", "last"), default="best")
    add("--mask", action="store_true", help="a program also reads mask bool [B, T]")
    add_import(parser)


def run(args: Arguments) -> int:
    """Writes the file and prints where it is; returns 0."""
    from dfjax.inference.export import export

    options = args.select("out", "checkpoint", "model", "mask")
    return show(args, export(args.workdir or args.weights, args.to, **options))
