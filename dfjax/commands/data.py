"""Prepare videos for training: an index, face crops and a pack.

Example, from a folder with real/ and fake/ videos to a pack, in one call or step by step:

  dfjax data prepare --adapter folder --root videos/ --out work/data

  dfjax data index --adapter folder --root videos/ --out work/index.parquet
  dfjax data extract --index work/index.parquet --out work/crops
  dfjax data pack --index work/crops/index.parquet --out work/pack

`dfjax data SUBVERB --help` explains each step.
"""

import argparse
import importlib
import shlex
import sys
from types import ModuleType

from dfjax.commands.main import Arguments, Parser, make_parser, print_line
from dfjax.errors import unknown

SUBVERBS = {
    "prepare": "index, split, extract, pack and audit in one call",
    "index": "list a data set's videos: labels, splits, identities, video properties",
    "extract": "detect faces and cut them out as JPEG crops",
    "split": "assign videos to train, val and test so that no person is in two of them",
    "audit": "look for leaks, shortcuts and broken files before training",
    "flow": "optical flow between crops that a clip samples together",
    "compress": "encode videos again with x264: equal classes, robustness sets",
    "features": "compute features of every crop, for models that read stored features",
    "rank": "rank videos for labelling, for example by uncertainty",
    "preview": "draw the training clips of a config after augmentation",
    "pack": "write crops as a TFDS/ArrayRecord data set to train from",
    "dedupe": "join near-duplicate videos into one group before splitting",
    "merge": "join several indexes into one",
    "export": "write crops and labels in the format of DeepfakeBench",
    "verify": "check a pack's shards, or an index's videos and crops, against their hashes",
    "synth": "make a synthetic data set of animated faces, real and manipulated",
}

RESUMED = ("prepare", "extract", "flow", "compress", "features", "synth")
"""Subverbs that continue where an interrupted call stopped."""

LIMITS = ("workers", "time_limit")
"""Arguments of `add_limits`."""

BEAM = ("beam_runner", "beam_options")
"""Arguments of `add_beam`."""


def add_arguments(parser: Parser) -> None:
    """Adds the subverb; what follows it is parsed by the subverb's own module."""
    add = parser.add_argument
    table = "\n".join(f"  {name:<8} {what}" for name, what in SUBVERBS.items())
    parser.usage = f"{parser.prog} SUBVERB …"
    parser.epilog = f"subverbs:\n{table}"
    add("subverb", metavar="SUBVERB", help="one of those below")
    rest = add("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    rest.required = False  # or the message of a bare `dfjax data` would ask for it


def run(args: Arguments) -> int:
    """Runs the subverb and returns its exit code."""
    if args.subverb not in SUBVERBS:
        raise unknown("subverb of data", args.subverb, SUBVERBS)
    module = load_subverb(args.subverb)
    options = make_parser(f"data {args.subverb}", module).parse_args(args.rest)
    try:
        return module.run(options) or 0
    except KeyboardInterrupt:
        if args.subverb in RESUMED:
            print_line("dfjax: what is finished is kept; the same command continues", error=True)
        raise


def load_subverb(name: str) -> ModuleType:
    """Returns the module of a subverb, imported only now: each pulls in libraries of its own."""
    return importlib.import_module(f"dfjax.commands.data_{name}")


def command_line() -> str:
    """Returns the command line, which an index records as its origin."""
    return shlex.join(["dfjax", *sys.argv[1:]])


def add_limits(parser: Parser, seconds: float, what: str) -> None:
    """Adds `--workers` and `--time-limit`, which verbs that open many files have."""
    add = parser.add_argument
    add("--workers", type=int, help="processes (one per core)")
    add("--time-limit", type=float, default=seconds, help=f"seconds a {what} ({seconds:g})")


def add_beam(parser: Parser) -> None:
    """Adds `--beam-runner` and `--beam-options`, by which Apache Beam divides the work."""
    add = parser.add_argument
    add("--beam-runner", metavar="NAME", help="of Apache Beam; OUT.dead_letters.jsonl: what failed")
    add("--beam-options", default="", metavar="TEXT", help="its options: --beam-options=--a=b")


def add_ratios(parser: Parser, help: str) -> None:
    """Adds `--ratios` with three comma-separated shares."""
    parser.add_argument("--ratios", type=_ratios, metavar="TRAIN,VAL,TEST", help=help)


def _ratios(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("three shares, not negative: train,val,test") from None
