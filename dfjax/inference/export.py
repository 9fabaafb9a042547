"""Export of a trained detector to a file: `dfjax.export`."""

import os
from dataclasses import dataclass
from pathlib import Path

import dfjax
from dfjax.errors import unknown
from dfjax.exporting.formats import FORMATS
from dfjax.inference.detector import Detector, load
from dfjax.outputs import check_outputs
from dfjax.results import Result


@dataclass(frozen=True)
class Exported(Result):
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

    def describe(self) -> list[str]:
        """Returns a line that names the file, its size and the checkpoint."""
        return [f"{self.out}: {self.bytes / 1e6:.1f} MB, checkpoint {self.checkpoint}"]


def export(
    detector: str | os.PathLike[str] | Detector,
    to: str = "safetensors",
    *,
    out: str | os.PathLike[str],
    checkpoint: str = "best",
    model: str = "",
) -> Exported:
    """Writes a detector to a file and returns the path, format and size of the file.

    Args:
        detector: Workdir of a training run, a safetensors file, or a detector from `dfjax.load`.
        to: Name of the format, a key of `exporting.formats.FORMATS`.
        out: Path of the file. One that exists is replaced if dfjax wrote it.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.

    Raises:
        UsageError: An unknown format, no such workdir or checkpoint, or `out` is a folder or a file
            that dfjax did not write.
    """
    path = Path(out)
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    check_outputs([path], inputs=() if isinstance(detector, Detector) else (detector,))
    loaded = detector if isinstance(detector, Detector) else load(detector, checkpoint, model=model)
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
