"""Reads arrays from weights files of other programs: torch, safetensors, NumPy and Keras.

The format is recognised by the content. Nothing in a file is unpickled or executed.
"""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfjax.errors import FileError, UsageError, first_line
from dfjax.files import open_regular
from dfjax.weights.keras_file import HDF5_MAGIC, KERAS_MEMBER, read_h5, read_keras
from dfjax.weights.limits import DAMAGED, check_size
from dfjax.weights.safetensors_file import read_arrays
from dfjax.weights.torch_file import read_torch

ZIP_MAGIC = b"PK\x03\x04"
USUAL_NAMES = ("model.safetensors", "pytorch_model.bin")
INDEX = ".index.json"
"""End of the name of a list of shards, and of no other file of the hub."""


class ForeignFile(NamedTuple):
    """The content of a weights file.

    Attributes:
        format: `torch`, `safetensors`, `npz` or `keras`.
        content: Arrays by name, in the file's order. A torch file may have such dicts as entries.
    """

    format: str
    content: Mapping[str, Any]


def find_file(path: str | os.PathLike[str]) -> Path:
    """Returns a weights file, or the one in a folder with the names of the Hugging Face Hub.

    Raises:
        UsageError: The folder has none of `USUAL_NAMES`, or the path is a list of shards.
    """
    path = Path(path)
    found = path
    if path.is_dir():
        names = (*USUAL_NAMES, *(name + INDEX for name in USUAL_NAMES))
        found = next((path / name for name in names if (path / name).exists()), path)
        if found == path:
            raise UsageError(
                f"{path} is a folder without {' or '.join(USUAL_NAMES)}: give the weights file"
            )
    if found.name.endswith(INDEX):
        raise UsageError(
            f"{found} lists several files with parts of a network, which are not read: save it as "
            "one file, with transformers by save_pretrained(FOLDER, max_shard_size='100GB')"
        )
    return found


def read_foreign(path: str | os.PathLike[str]) -> ForeignFile:
    """Returns the arrays of a weights file.

    Raises:
        UsageError: The file does not exist, is damaged, is larger than `limits` allows or holds
            other objects than arrays.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            magic = file.read(9)
    except FileNotFoundError as error:
        raise UsageError(f"the file {path} does not exist") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    check_size(path.stat().st_size, str(path))
    if magic.startswith(HDF5_MAGIC):
        return ForeignFile("keras", read_h5(path))
    if magic.startswith(ZIP_MAGIC):
        return _read_zip(path)
    if magic[8:] == b"{":
        return ForeignFile("safetensors", read_arrays(path))
    return ForeignFile("torch", read_torch(path))


def _read_zip(path: Path) -> ForeignFile:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except DAMAGED as error:
        raise FileError(f"{path} is damaged: {first_line(error)}") from error
    unpacked = sum(member.file_size for member in members)
    check_size(unpacked, str(path), stored=path.stat().st_size)
    names = {member.filename for member in members}
    if KERAS_MEMBER in names:
        return ForeignFile("keras", read_keras(path))
    if names and all(name.endswith(".npy") for name in names):
        return ForeignFile("npz", _read_npz(path))
    return ForeignFile("torch", read_torch(path))


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except DAMAGED as error:
        raise FileError(f"{path} is not a readable .npz file: {first_line(error)}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member without the header of NumPy
            raise FileError(f"{path} is not a readable .npz file: {name} is not an array")
    return arrays
