"""Loads the generator that a call names, or takes the one that it gives."""

import os

from dfjax.inference import generator as generators
from dfjax.inference.restoring.restore_file import Restorer


def load_restorer(source: str | os.PathLike[str] | Restorer, checkpoint: str) -> Restorer:
    """Returns a generator.

    Args:
        source: Workdir or weights file of a generator, or the generator itself.
        checkpoint: `best` or `last`, where `source` is a workdir.
    """
    if isinstance(source, str | os.PathLike):
        return generators.load_generator(source, checkpoint)
    return source
