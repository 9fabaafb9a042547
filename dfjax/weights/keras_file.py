"""Reads and writes weights files of Keras: `.h5` of every version, `.weights.h5` and `.keras`.

The arrays are named `layer/weight`, such as `stem_bn/gamma`, whatever the layout of the file. Files
of Keras 1 and 2 have the attribute `layer_names`; those of Keras 3 have a folder `vars` per layer.
"""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dfjax.errors import FileError, first_line
from dfjax.json_files import parse_json
from dfjax.weights.limits import DAMAGED, check_size

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
KERAS_MEMBER = "model.weights.h5"
WEIGHTS = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "normalization": ("mean", "variance", "count"),
}
"""Names of the numbered weights of a layer by its class; others have `kernel` and `bias`."""

CONFIG = {"config": {"layers?": [{"class_name": str, "config": {"name?": str}}]}}
"""Schema of the part of `config.json` that is read: the layers in order."""


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of an `.h5` file as `{"layer/weight": array}`.

    Raises:
        FileError: The file is damaged or was not written by Keras.
    """
    return _read(path, path, {})


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.keras` file as `{"layer/weight": array}`.

    Raises:
        FileError: The file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(KERAS_MEMBER)
            config = archive.read("config.json").decode()
    except DAMAGED as error:
        raise FileError(f"{path} is not a readable Keras file: {first_line(error)}") from error
    names = _layer_names(parse_json(config, CONFIG, name=f"config.json in {path}"))
    return _read(io.BytesIO(content), path, names)


def write_h5(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `{"layer/weight": array}` in the layout with `layer_names`, which Keras 2 and 3 load.

    Keras assigns the weights in the order of the layers, so the order of `arrays` counts.
    """
    layers: dict[str, list[str]] = {}
    for key in arrays:
        layers.setdefault(key.rpartition("/")[0], []).append(key)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"jax", b"3"
        for layer, keys in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key in keys:
                group.create_dataset(key, data=arrays[key])


def _read(source: Any, path: Path, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Returns the arrays of an HDF5 file.

    Args:
        source: The file, or its content.
        path: Path of the file, or of the archive that contains it.
        names: Names of the layers by those of their folders, where the file does not have them.
    """
    found: dict[str, np.ndarray] = {}
    name, size, stored = str(path), 0, path.stat().st_size
    try:
        with h5py.File(source, "r") as file:
            saved_whole = file.get("model_weights", getlink=True) is not None
            root = _child(file, "model_weights") if saved_whole else file
            old = "layer_names" in root.attrs or "layer_names0" in root.attrs
            for key, data in _old_layout(root) if old else _new_layout(root, names):
                if data.external or data.is_virtual:
                    raise FileError(f"{name} refers to other files, which are not read")
                size += data.size * data.dtype.itemsize
                check_size(size, name, stored=stored)
                if data.dtype.kind not in "fiu":
                    raise FileError(f"{key} of {name} is {data.dtype}; weights are numbers")
                found[key] = np.asarray(data[()])
    except FileError:
        raise
    except DAMAGED as error:
        raise FileError(f"{name} is not a readable Keras file: {first_line(error)}") from error
    if not found:
        raise FileError(f"{name} has no weights of Keras: neither `layer_names` nor `vars`")
    return found


def _attribute(group: Any, name: str) -> list[str]:
    """Returns a list of names, which Keras splits into `name0`, `name1`, … where it is long."""
    keys = [name] if name in group.attrs else []
    keys = keys or sorted((k for k in group.attrs if re.fullmatch(rf"{name}\d+", k)), key=_number)
    values = [value for key in keys for value in group.attrs[key]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _number(name: str) -> int:
    return int(re.findall(r"\d+$", name)[0])


def _child(group: Any, path: str) -> Any:
    """Returns a group or data set below `group`; links to other files are refused."""
    for part in path.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise FileError(f"{part} is a link; weights are read from the file itself")
        group = group[part]
    return group


def _old_layout(root: Any) -> Iterator[tuple[str, Any]]:
    for layer in _attribute(root, "layer_names"):
        group = _child(root, layer)
        for weight in _attribute(group, "weight_names"):
            parts = weight.split("/")
            owner = parts[-2] if len(parts) > 1 else layer
            yield f"{owner}/{parts[-1].partition(':')[0]}", _child(group, weight)


def _new_layout(root: Any, names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    folders = [path for path in _folders(root, "", set()) if path.split("/")[0] == "layers"]
    for path in folders:
        group, own = _child(root, path), path.split("/")[-2]
        name = group.attrs.get("name") or names.get(own, own)
        kind = re.sub(r"_\d+$", "", own)
        weights = WEIGHTS.get(kind, ("kernel", "bias"))
        for index in sorted(group, key=int):
            yield f"{name}/{weights[int(index)]}", _child(group, index)


def _folders(group: Any, prefix: str, seen: set[int]) -> Iterator[str]:
    """Yields the paths of the groups called `vars` that are not empty.

    Args:
        group: Group to search.
        prefix: Its path with a slash at the end, or an empty text.
        seen: Addresses of the groups that were searched before, since a group may contain itself.
    """
    for key in group:
        child = _child(group, key)
        if isinstance(child, h5py.Group):
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                continue
            seen.add(address)
            if key == "vars" and len(child):
                yield f"{prefix}{key}"
            yield from _folders(child, f"{prefix}{key}/", seen)


def _layer_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns the names of the layers of a model by those of their folders, `conv2d_3`."""
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for layer in config["config"].get("layers", []):
        kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", layer["class_name"])  # Keras' own rule
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()
        folder = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        names[folder] = layer["config"].get("name", folder)
    return names
