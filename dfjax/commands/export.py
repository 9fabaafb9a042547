"""Write a trained detector or generator in another format, read it back and compare it.

safetensors has parameters and config, and hub is a folder of them for the Hugging Face Hub; both
are read like a workdir. deepfakebench and keras are weights of these programs, for detectors that
they have. onnx (extra `export`), stablehlo (CPU, GPU and TPU) and torch (torch.export) are programs
from `clip` uint8 [B, T, H, W, 3], face crops at the size of the config, and `flow` float32 where
the model needs it, to `fake_prob` float32 [B], those of a generator to `restored` uint8. html
(extra `export`) is a page that scores videos and pictures in a browser, without a network.
--triton writes onnx as a model of Triton Inference Server, a folder OUT with config.pbtxt.

--kernels int8 (a scale per output channel) or bf16 makes onnx, stablehlo, safetensors and hub
smaller; the outputs' difference from the checkpoint is printed. Activations stay float32.

--card writes a model card beside the file, OUT.md: data, audit, results with intervals, limits and
SHA-256. --verify compares what you received with its card; exit code 1: they differ. --register
makes OUT a version of the model NAME in MLflow (MLFLOW_TRACKING_URI).

  dfjax export --workdir runs/demo/workdir --to onnx --out dual_stream.onnx --card
  dfjax export --verify dual_stream.onnx
"""

import sys
from pathlib import Path

from dfjax.commands.detector_options import add_detector_source
from dfjax.commands.main import Arguments, Parser, add_import, make_parser, show
from dfjax.commands.other_options import refuse_others
from dfjax.errors import UsageError


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax export`."""
    add = parser.add_argument
    source = add_detector_source(parser)
    source.add_argument("--verify", type=Path, metavar="FILE", help="a file, or folder of to=hub")
    add("--to", metavar="FORMAT", help="one of those above")
    add("--out", help="the file or folder to write; replaced if it exists")
    add("--card", action="store_true", help="write the model card OUT.md too")
    add("--checkpoint", choices=("best", "last"), default="best")
    add("--mask", action="store_true", help="a program also reads mask bool [B, T]")
    add("--detector-model", dest="face_model", metavar="FILE", help="YuNet's ONNX file, for html")
    add("--web-runtime", metavar="PATH", help="npm package of onnxruntime-web, for html (fetched)")
    add("--triton", action="store_true", help="OUT is a model of Triton's server, for onnx")
    add("--kernels", metavar="KIND", default="float32", help="float32, int8 or bf16 (float32)")
    add("--register", metavar="NAME", default="", help="register OUT as a model in MLflow")
    add_import(parser)


def run(args: Arguments) -> int:
    """Writes the file and prints where it is, or verifies one; returns the exit code."""
    if args.verify:
        from dfjax.inference.reporting.card_file import verify_card

        parser = make_parser("export", sys.modules[__name__])
        refuse_others(args, parser, "verify", ("verify", "json"))
        return show(args, verify_card(args.verify))
    from dfjax.inference.export import export

    if not (args.to and args.out):
        raise UsageError("--to FORMAT and --out FILE are needed")
    names = "out checkpoint model mask card triton kernels face_model web_runtime register".split()
    return show(args, export(args.workdir or args.weights, args.to, **args.select(*names)))
