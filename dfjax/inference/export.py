"""Export of a trained detector to a file: `dfjax.export`."""

import os
from pathlib import Path
from typing import NamedTuple

import dfjax
from dfjax.errors import UsageError, unknown
from dfjax.exporting.formats import FORMATS
from dfjax.inference.detector import Detector, load


class Exported(NamedTuple):
    """The result of `export`.

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
    """Writes a detector to a file and returns the path, format and size of the file.

    Args:
        detector: Workdir of a training run, or a detector from `dfjax.load`.
        to: Name of the format, a key of `exporting.formats.FORMATS`.
        out: Path of the file; an existing file is replaced.
        checkpoint: `best` or `last`, where `detector` is a workdir.

    Raises:
        UsageError: The format is unknown, `out` is a folder, or the workdir or checkpoint does not
            exist.
    """
    path = Path(out)
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    if path.is_dir():
        raise UsageError(f"out must be a file, and {path} is a folder")
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
