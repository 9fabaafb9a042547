"""Writes a trained detector in another format: `dfjax.export`."""

import os
from pathlib import Path
from typing import NamedTuple

import dfjax
from dfjax.errors import UsageError, unknown
from dfjax.exporting.formats import FORMATS
from dfjax.inference.detector import Detector, load


class Exported(NamedTuple):
    """A file that holds a detector.

    Attributes:
        out: Path of the file.
        format: Name of the format.
        bytes: Size of the file.
        checkpoint: Name of the checkpoint, for example `best/1200`.
    """

    out: Path
    format: str
    bytes: int
    checkpoint: str


def export(
    detector: str | os.PathLike[str] | Detector,
    to: str = "safetensors",
    *,
    out: str | os.PathLike[str],
    checkpoint: str = "best",
) -> Exported:
    """Writes a detector to one file, and returns what was written.

    Args:
        detector: Workdir of a training run, or a detector from `dfjax.load`.
        to: Name of the format, a key of `exporting.formats.FORMATS`.
        out: Path of the file; one that exists is replaced.
        checkpoint: `best` or `last`, where `detector` is a workdir.

    Raises:
        UsageError: An unknown format, a folder as `out`, or no such workdir or checkpoint.
    """
    path = Path(out)
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    loaded = detector if isinstance(detector, Detector) else load(detector, checkpoint)
    metadata = {
        "format": "dfjax",
        "version": dfjax.__version__,
        "checkpoint": loaded.checkpoint,
        "config": loaded.config.to_dict(),
        "methods": list(loaded.methods),
        "crops": loaded.config.crops.to_dict(),
    }
    if loaded.features:
        metadata["features"] = loaded.features
    FORMATS[to](path, loaded.variables, metadata)
    return Exported(path, to, path.stat().st_size, loaded.checkpoint)
