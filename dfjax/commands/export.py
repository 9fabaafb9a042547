"""Write a trained detector or generator in another format, read it back and compare it.

safetensors    one tensor per parameter, named by its path with dots; the header has the config, so
               that `--weights FILE` and `dfjax.load` read it like a workdir
onnx           a program for onnxruntime (extra `export`); the number of clips is free
stablehlo      a program for jax.export on CPU, NVIDIA GPU and TPU, in one file
torch          a program of torch.export, which runs without JAX
deepfakebench  a state dict for DeepfakeBench; keras an .h5 of Keras; for detectors that these have

A program reads `clip` uint8 [B, T, H, W, 3], face crops at the size of the config, and `flow`
float32 [B, T-1, H, W, 2] where the model needs it; preprocessing is inside. Its output is
`fake_prob` float32 [B], that of a generator `restored`, uint8 like its input.

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
