"""Variables as one safetensors file: the format that other tools, and other versions, read.

Keys are the parameter paths with dots, under `params.` and `batch_stats.`; paths and shapes are a
public format. Nothing in such a file is executed when it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from dfjax.errors import UsageError

COLLECTIONS = ("params", "batch_stats")


def flatten(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns `{"params.stem.conv.kernel": array, …}`, on the host, of a nested dict of arrays.

    Raises:
        ValueError: a name contains a dot, so that the way back would not be unique.
    """
    return dict(_leaves(variables, ""))


def _leaves(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in node.items():
        if "." in name:
            raise ValueError(f"the name {prefix + name!r} contains a dot")
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, np.asarray(value, order="C")


def unflatten(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the nested dict that `flatten` made flat; both collections are present."""
    tree: dict[str, Any] = {collection: {} for collection in COLLECTIONS}
    for key, array in arrays.items():
        *path, leaf = key.split(".")
        node = tree
        for name in path:
            node = node.setdefault(name, {})
        node[leaf] = array
    return tree


def save_safetensors(
    path: str | Path, variables: Mapping[str, Any], *, metadata: Mapping[str, Any]
) -> None:
    """Writes `variables` to `path`, bit for bit, with `metadata` (values as JSON) in the header.

    The file is written in place: where a reader may come by, wrap it in
    `dfjax.data.index.records.atomic_path`.
    """
    header = {key: json.dumps(value) for key, value in metadata.items()}
    save_file(flatten(variables), str(path), metadata=header)


def load_safetensors(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns `(variables, metadata)` of a file that `save_safetensors` wrote.

    Raises:
        UsageError: there is no such file, it is not safetensors, or holds other collections.
    """
    try:
        arrays = load_file(str(path))
        with safe_open(str(path), framework="numpy") as file:
            header = file.metadata() or {}
    except FileNotFoundError as error:
        raise UsageError(f"no file {path}") from error
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is not a readable safetensors file: {error}") from error
    foreign = sorted({key.partition(".")[0] for key in arrays} - set(COLLECTIONS))
    if foreign:
        raise UsageError(
            f"{path} holds {', '.join(foreign)}; dfjax files hold {' and '.join(COLLECTIONS)}"
        )
    return unflatten(arrays), {key: json.loads(value) for key, value in header.items()}
