"""The options of `predict`, `evaluate` and `export` that name a trained detector."""

import argparse
from pathlib import Path


def add_detector_source(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Adds `--workdir`, `--weights` and `--model`; returns the group that the first two are in."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--workdir", type=Path, metavar="DIR", help="folder of a training run")
    source.add_argument(
        "--weights", type=Path, metavar="FILE", help="safetensors file of a detector"
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="config of --weights, if its header has none"
    )
    return source
