"""The formats that a trained detector can be exported to, one function each, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dfjax.files import atomic_path
from dfjax.weights.safetensors_file import save_safetensors

Exporter = Callable[[Path, Mapping[str, Any], Mapping[str, Any]], None]
"""`exporter(out, variables, metadata)`: writes one file, atomically."""


def export_safetensors(
    out: Path, variables: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Writes one tensor per parameter, named by its path with dots, and `metadata` in the header.

    Args:
        out: Path of the file.
        variables: Parameters and batch statistics.
        metadata: Values that JSON can hold.
    """
    with atomic_path(out) as path:
        save_safetensors(path, variables, metadata=metadata)


FORMATS: dict[str, Exporter] = {"safetensors": export_safetensors}
