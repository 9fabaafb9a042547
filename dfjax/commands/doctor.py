"""Versions, devices, codecs, face detectors, memory and free disk, on one screen.

Every part is tested: a video is encoded and decoded, the model of a face detector is loaded.
Failed checks are listed with a remedy, and the exit code is then 1.

Example:
  dfjax doctor
  dfjax doctor --json | tail -n 1 | python -m json.tool
"""

from dfjax.bench.environment import check_machine
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds no options to `dfjax doctor`."""


def run(args: Arguments) -> int:
    """Prints every check and returns 1 if one of them failed, else 0."""
    return show(args, check_machine())
