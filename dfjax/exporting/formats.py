"""`FORMATS`: the functions that export a trained detector, by the name of the format."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dfjax.files import atomic_path
from dfjax.weights.safetensors_file import save_safetensors

Exporter = Callable[[Path, Mapping[str, Any], Mapping[str, Any]], None]
"""Function `exporter(out, variables, metadata)` that writes one file atomically."""


def export_safetensors(
    out: Path, variables: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Writes one tensor per parameter, named by its path with dots, and `metadata` in the header.

    Args:
        out: Path of the file.
        variables: Parameters and batch statistics.
        metadata: Entries of the header, with values that can be stored as JSON.
    """
    with atomic_path(out) as path:
        save_safetensors(path, variables, metadata=metadata)


FORMATS: dict[str, Exporter] = {"safetensors": export_safetensors}
