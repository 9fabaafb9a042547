"""The formats that a trained detector can leave in: one function each, by the name of `--to`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dfjax.files import atomic_path
from dfjax.weights.safetensors_file import save_safetensors

Exporter = Callable[[Path, Mapping[str, Any], Mapping[str, Any]], None]
"""`(out, variables, metadata) -> None`: writes one file, whole or not at all."""


def export_safetensors(
    out: Path, variables: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Writes parameters and statistics under their dotted paths, `metadata` in the header."""
    with atomic_path(out) as path:
        save_safetensors(path, variables, metadata=metadata)


FORMATS: dict[str, Exporter] = {"safetensors": export_safetensors}
