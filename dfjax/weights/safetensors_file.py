"""Reads and writes variables as one safetensors file, which other tools can read.

Keys are the parameter paths with dots, under `params.` and `batch_stats.`. Paths and shapes are a
public format. Reading such a file executes no code from it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from dfjax.errors import FileError, UsageError, first_line
from dfjax.files import open_regular
from dfjax.json_files import parse_json
from dfjax.weights.limits import DAMAGED
from dfjax.weights.mismatch import check_finite
from dfjax.weights.rounding import FLOAT32, KINDS, pack_arrays, unpack_arrays

COLLECTIONS = ("params", "batch_stats")

KERNELS_ENTRY = "kernels"
"""Entry of the header that tells how kernels are stored, where they are not float32."""


def flatten(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns a nested dict of arrays as a flat one, `{"params.stem.conv.kernel": array, …}`.

    The arrays are copied to the host.

    Raises:
        ValueError: A name contains a dot, so that the nested dict could not be restored.
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
    """Returns the nested dict of a flat one; the inverse of `flatten`.

    The result has both collections, `params` and `batch_stats`, even if one is empty.

    Raises:
        FileError: A key is both an array and the beginning of another key.
    """
    tree: dict[str, Any] = {collection: {} for collection in COLLECTIONS}
    for key, array in arrays.items():
        *path, leaf = key.split(".")
        node = tree
        for name in path:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise FileError(f"{key} lies below {name}, which is itself an array")
        if node.setdefault(leaf, array) is not array:
            raise FileError(f"{key} is an array, and others lie below it")
    return tree


def save_safetensors(
    path: str | Path, variables: Mapping[str, Any], *, metadata: Mapping[str, Any]
) -> None:
    """Writes `variables` to `path`, bit for bit unless the header has kernels rounded.

    The write is not atomic. Use `dfjax.files.atomic_path` where other processes may read the file.

    Args:
        path: File to write.
        variables: Nested dict of arrays with the collections `params` and `batch_stats`.
        metadata: Entries of the file's header; the values are stored as JSON.
            `kernels` is one of `rounding.KINDS`, `float32` by default: how kernels are stored.
    """
    kind = metadata.get(KERNELS_ENTRY, FLOAT32)
    header = {key: json.dumps(value) for key, value in metadata.items()}
    save_file(pack_arrays(flatten(variables), kind), str(path), metadata=header)


def load_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns `(variables, metadata)` of a file that `save_safetensors` wrote.

    Entries of the header that are not JSON, as other programs write them, are returned as texts.
    Rounded kernels are float32 in the result, from which the entry `kernels` is left out.

    Raises:
        UsageError: The file does not exist, is not a safetensors file, has other collections, has
            kernels that are stored in an unknown way, or values that are not finite.
    """
    arrays, header = read_arrays(path), read_header(path)
    if (kind := header.pop(KERNELS_ENTRY, FLOAT32)) not in KINDS:
        raise FileError(f"{path} has kernels {kind!r}; known are {', '.join(KINDS)}")
    if kind != FLOAT32:
        arrays = unpack_arrays(arrays, source=str(path))
    foreign = sorted({key.partition(".")[0] for key in arrays} - set(COLLECTIONS))
    if foreign:
        raise FileError(
            f"{path} holds {', '.join(foreign)}; dfjax files hold {' and '.join(COLLECTIONS)}"
        )
    check_finite(arrays, source=str(path))
    return unflatten(arrays), header


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of a safetensors file by key.

    Raises:
        UsageError: The file does not exist or is not a safetensors file.
    """
    with _explained(path):
        return load_file(str(path))


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the metadata of a safetensors file without reading its arrays.

    Raises:
        UsageError: The file does not exist or is not a safetensors file.
    """
    with _explained(path), safe_open(str(path), framework="numpy") as file:
        header = file.metadata() or {}
    return {key: _parse_entry(value) for key, value in header.items()}


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file begins like a safetensors file: a length, then JSON."""
    with open_regular(path) as file:
        return file.read(9)[8:] == b"{"


@contextlib.contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raises what the library raises as an error that names the file."""
    try:
        open_regular(path).close()  # opening a named pipe would wait for a writer
        yield
    except FileNotFoundError as error:
        raise UsageError(f"the file {path} does not exist") from error
    except DAMAGED as error:
        reason = first_line(error)
        raise FileError(f"{path} is not a readable safetensors file: {reason}") from error


def _parse_entry(text: str) -> Any:
    try:
        return parse_json(text, name="the entry")
    except FileError:
        return text
