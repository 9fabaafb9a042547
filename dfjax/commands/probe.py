"""Measure which shortcuts a detector takes: is it more than a searcher of blends?

  dfjax probe --workdir runs/first
  dfjax probe --weights meso4.safetensors --index work/pack --out probe.json

Real faces of the split are changed without any generator: self-blended, blended with another real
face, compressed as JPEG, and put before the background of a fake. A detector that calls them fake
reacts to the seam, the compression or the background. The table has the AUC with which it
separates changed from unchanged real faces, and the share of its own AUC above chance that this
makes up, with 95 % intervals from 1,000 resamples of groups of videos. Shares need not add up to 1.

Writes probe.json to the workdir, or --out; `dfjax report` shows it.
"""

from pathlib import Path

from dfjax.commands.detector_options import add_detector_source
from dfjax.commands.main import Arguments, Parser, add_import, show

OPTIONS = ("split", "index", "out", "checkpoint", "model", "seed")


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax probe`."""
    add_detector_source(parser)
    add = parser.add_argument
    add("--split", default="test", help="train, val or test (default)")
    add("--index", type=Path, metavar="FILE", help="other data than the run's")
    add("--checkpoint", default="best", help="best (default) or last")
    add("--out", type=Path, metavar="FILE", help="JSON file (probe.json in the workdir)")
    add("--seed", type=int, default=0, help="seed of the changes (0)")
    add_import(parser)


def run(args: Arguments) -> int:
    """Probes, prints the table and returns the exit code."""
    from dfjax.inference.probe import probe

    return show(args, probe(args.workdir or args.weights, **args.select(*OPTIONS)))
