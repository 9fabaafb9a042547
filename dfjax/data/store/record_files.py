"""Reads the ArrayRecord files of a TFDS data set, with features that are named in the code.

TFDS itself builds the features that `features.json` names, and imports the module of each, and it
takes the paths of the files from `dataset_info.json`. A data set may come from anybody, so neither
is followed here: the features come from the caller and the files lie in the folder.
"""

import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from array_record.python.array_record_data_source import ArrayRecordDataSource
from google.protobuf.message import DecodeError

from dfjax.errors import FileError, first_line

_DAMAGE = (RuntimeError, OSError, ValueError, LookupError, AttributeError, TypeError, DecodeError)
"""What ArrayRecord, protocol buffers and TFDS raise on damaged files."""


class Records:
    """Random access to the records of one split. Threads may share it."""

    def __init__(self, folder: Path, name: str, split: str, features: Mapping[str, Any]) -> None:
        """Opens the files of a split.

        Args:
            folder: Folder of the data set.
            name: Name of the data set, the first part of the names of its files.
            split: Name of the split.
            features: Features of TFDS by name; other values of a record are not read.

        Raises:
            FileError: A file is missing or cannot be read.
        """
        self._where = f"the split {split} of {folder}"
        self._features = tfds.features.FeaturesDict(dict(features))
        files = find_shards(folder, name, split)
        try:
            self._source = ArrayRecordDataSource([os.fspath(file) for file in files])
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self._source)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Returns the values of a record by the names of the features.

        Raises:
            FileError: There is no such record, or it is damaged.
        """
        try:
            record: dict[str, Any] = self._features.deserialize_example_np(self._source[number])
        except _DAMAGE as error:
            raise self._damaged(error) from error
        missing = self._features.keys() - record.keys()
        if missing:
            raise FileError(f"{self._where}: record {number} lacks {', '.join(sorted(missing))}")
        return record

    def _damaged(self, error: Exception) -> FileError:
        return FileError(f"{self._where} cannot be read: {first_line(error)}")


class RecordFiles:
    """The splits of a data set, each opened when it is first needed. Threads may share it."""

    def __init__(self, folder: Path, name: str, features: Mapping[str, Any]) -> None:
        """Names the data set; see `Records`."""
        self._arguments = (folder, name, features)
        self._splits: dict[str, Records] = {}
        self._lock = threading.Lock()

    def open(self, split: str) -> Records:
        """Returns the records of a split.

        Raises:
            FileError: A file is missing or cannot be read.
        """
        folder, name, features = self._arguments
        with self._lock:
            if split not in self._splits:
                self._splits[split] = Records(folder, name, split, features)
            return self._splits[split]


def find_shards(folder: Path, name: str, split: str) -> list[Path]:
    """Returns the files of a split in order.

    They are called `NAME-SPLIT.array_record-00000` and so on, in some data sets with `-of-00002`.

    Raises:
        FileError: There are none, or one is missing.
    """
    start = f"{name}-{split}.array_record-"
    pattern = re.compile(rf"{re.escape(start)}(\d+)(?:-of-(\d+))?")
    matches = [(pattern.fullmatch(file.name), file) for file in folder.iterdir()]
    regular = [(match, file) for match, file in matches if match and file.is_file()]
    found = sorted((int(match[1]), match[2], file) for match, file in regular)
    numbers, counts = [number for number, *_ in found], {count for _, count, _ in found}
    whole = numbers == list(range(len(found))) and counts <= {None, f"{len(found):05d}"}
    if not found or not whole or len(counts) > 1:
        raise FileError(f"{folder} lacks files {start}…: it has {len(found)} of them")
    return [file for *_, file in found]
