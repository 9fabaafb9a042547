"""Opens a TFDS data set: features are made from a list of known ones, and files lie in its folder.

`features.json` names a Python class per feature, and TFDS imports its module. Here the last part of
that name is looked up in `KINDS`; nothing is imported. Images stay encoded.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from dfjax.data.index.adapters.foreign import OBJECT, read_json, read_text
from dfjax.data.store.record_files import Records
from dfjax.errors import UsageError, unknown
from dfjax.json_files import check_value

Feature = tfds.features.FeatureConnector

FEATURES = {"features": {str: {"pythonClassName": str}}}
"""Schema of the value `content` or `featuresDict` of `features.json`."""

TENSOR = {"tensor": {"dtype": str, "encoding?": str, "shape?": {"dimensions?": [str]}}}
SEQUENCE = {"sequence": {"feature": {"pythonClassName": str}}}
"""Schemas of entries of `features.json`."""

INFO = {"name": str, "fileFormat?": str, "splits": [{"name": str, "shardLengths?": [object]}]}
"""Schema of `dataset_info.json`."""

FORMAT = "array_record"
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "string", "object"),
)
NAME = re.compile(r"[\w.+-]+")


class DataSet(NamedTuple):
    """A TFDS data set.

    Attributes:
        splits: Records by the name of the split.
        frames: Name of the feature that holds the frames.
        label_names: Names of the classes, or None if labels are numbers.
    """

    splits: dict[str, Records]
    frames: str
    label_names: list[str] | None


def open_set(folder: Path, names: Sequence[str], frames: Sequence[str]) -> DataSet:
    """Returns a data set, of which only the features that are asked for are read.

    Args:
        folder: Folder of one version of the data set.
        names: Names of the features to read, where there are such; `label` is required.
        frames: Possible names of the feature that holds the frames, the best one first.

    Raises:
        UsageError: A file is missing or damaged, the set is in another format, or it has no label,
            no frames, or a feature of an unknown kind.
    """
    content = read_json(folder / "features.json", OBJECT)
    holder = "content" if "content" in content else "featuresDict"
    check_value(content, {holder: FEATURES}, name=f"{folder}/features.json")
    specs = content[holder]["features"]
    key = next((name for name in frames if name in specs), None)
    if key is None or "label" not in specs:
        raise UsageError(
            f"{folder} has the features {', '.join(specs)}; it needs label and one of "
            f"{', '.join(frames)}"
        )
    features = {name: _make(specs[name], name) for name in (*names, key) if name in specs}
    info = read_json(folder / "dataset_info.json", INFO)
    if info.get("fileFormat", FORMAT) != FORMAT:
        raise UsageError(f"{folder} is in the format {info['fileFormat']}; only {FORMAT} is read")
    parts = [info["name"], *(split["name"] for split in info["splits"])]
    if not all(map(NAME.fullmatch, parts)):
        raise UsageError(f"{folder}/dataset_info.json has a name that cannot be part of a file's")
    splits = {
        split["name"]: Records(folder, info["name"], split["name"], features)
        for split in info["splits"]
        if split.get("shardLengths", True)
    }
    labels = folder / "label.labels.txt"
    label_names = read_text(labels).strip().split("\n") if labels.exists() else None
    return DataSet(splits, key, label_names)


def _make(spec: Any, name: str) -> Feature:
    """Returns the feature that an entry of `features.json` describes."""
    kind = spec["pythonClassName"].rpartition(".")[2]
    if kind not in KINDS:
        raise unknown(f"kind of the feature {name}", kind, KINDS)
    return KINDS[kind](spec, name)


def _make_tensor(spec: Any, name: str) -> Feature:
    check_value(spec, TENSOR, name=f"the feature {name}")
    content = spec["tensor"]
    if content.get("encoding", "none") != "none":
        raise UsageError(f"the feature {name} is compressed, which is not supported")
    if content["dtype"] not in DTYPES:
        raise unknown(f"dtype of the feature {name}", content["dtype"], DTYPES)
    dtype = object if content["dtype"] in ("string", "object") else content["dtype"]
    dimensions = content.get("shape", {}).get("dimensions", ())
    if not all(re.fullmatch(r"-1|\d{1,9}", size) for size in dimensions):
        raise UsageError(f"the feature {name} has the impossible shape {', '.join(dimensions)}")
    shape = tuple(None if size == "-1" else int(size) for size in dimensions)
    return tfds.features.Tensor(shape=shape, dtype=np.dtype(dtype))


def _make_sequence(spec: Any, name: str) -> Feature:
    check_value(spec, SEQUENCE, name=f"the feature {name}")
    return tfds.features.Sequence(_make(spec["sequence"]["feature"], name))


def _make_bytes(spec: Any, name: str) -> Feature:
    del spec, name  # an image stays encoded, whatever its size
    return tfds.features.Tensor(shape=(), dtype=np.object_)


def _make_images(spec: Any, name: str) -> Feature:
    return tfds.features.Sequence(_make_bytes(spec, name))


def _make_text(spec: Any, name: str) -> Feature:
    del spec, name
    return tfds.features.Text()


def _make_number(spec: Any, name: str) -> Feature:
    del spec, name
    return tfds.features.Scalar(np.int64)


KINDS: Mapping[str, Callable[[Any, str], Feature]] = {
    "ClassLabel": _make_number,
    "Image": _make_bytes,
    "Scalar": _make_tensor,
    "Sequence": _make_sequence,
    "Tensor": _make_tensor,
    "Text": _make_text,
    "Video": _make_images,
}
"""Functions that make a feature from its entry and its name, by the name of TFDS's class."""
