"""Reads feature packs: the features of a frame backbone for every crop, computed once and stored.

The folder of a feature pack holds:

- `index.parquet`: Index of the crops, with the shard (`feature_shard`) and the number of the first
  row in it (`feature_row`) of each video's features.
- `features-NNNNN.npy`: Shards, matrices [frames, D] that are mapped into memory, never unpickled.
- `features.json`: Record of the backbone, its parameters, the preprocessing and the crops.
- `backbone.safetensors`: Parameters of the backbone.
- `errors.jsonl`: Crops and videos without features, if there are any.
- `checksums.json`: SHA-256 of each file; it is written last and marks the pack as complete.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from dfjax.data.faces.crop_files import CropFiles
from dfjax.data.index.records import read_index
from dfjax.data.store.frame_store import FrameStore, check_places
from dfjax.data.store.pack_reader import MANIFEST, Pack, open_pack, read_manifest
from dfjax.errors import UsageError, first_line
from dfjax.files import open_regular
from dfjax.json_files import check_value, read_json
from dfjax.object_stores import find_pack

RECORD, PARAMETERS = "features.json", "backbone.safetensors"
SHARD, ROW = "feature_shard", "feature_row"
RECORD_SCHEMA = {
    **{"features": int, "parameters": str, "precision": str, "backbone": {"name": str}},
    **{"preprocess": {"size": int, "mean": [float], "std": [float]}, "source?": str},
}
"""Schema of `features.json`."""
DTYPES = (np.float16, np.float32)
REMEDY = "compute the features anew (`dfjax data features`, fresh)"


@dataclasses.dataclass(eq=False)
class FeaturePack(FrameStore):
    """Features of the frames of videos, read from disk in any order.

    Attributes:
        record: Content of `features.json` (see `read_record`).
        width: Number of features per frame, D.
    """

    content = "features"
    record: dict[str, Any]
    width: int

    def __post_init__(self) -> None:
        """Prepares the position of each video's features."""
        super().__post_init__()
        self._places = list(zip(self.index[SHARD].tolist(), self.index[ROW].tolist()))
        self._shards: dict[int, np.ndarray] = {}

    def empty(self, clips: int, frames: int) -> Float32[np.ndarray, "B T D"]:
        """Returns clips whose features are all 0.

        Args:
            clips: Number of clips, B.
            frames: Number of frames per clip, T.
        """
        return np.zeros((clips, frames, self.width), np.float32)

    def read(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray
    ) -> Float32[np.ndarray, "T D"]:
        """Returns the features of the given source frames of video `row`, in the given order.

        Args:
            row: Position of the video in `index`.
            frame_numbers: T source frame numbers in any order.

        Raises:
            KeyError: A frame has no features.
            UsageError: The file with the features is damaged; the message names it.
        """
        places = self.find_places(row, np.asarray(frame_numbers, np.int32))
        shard, first = self._places[row]
        name = shard_name(shard)
        try:
            features = self._open(shard)[first + places].astype(np.float32)
        except IndexError:
            raise self._damaged(name, "it has fewer frames than the index lists") from None
        if not np.isfinite(features).all():
            raise self._damaged(name, "it contains values that are not finite")
        return features

    def _open(self, shard: int) -> np.ndarray:
        if shard not in self._shards:
            path = self.path / shard_name(shard)
            try:
                open_regular(path).close()  # opening a named pipe would wait for a writer
                matrix = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError, TypeError, OverflowError) as error:
                raise self._damaged(path.name, first_line(error)) from error
            if not isinstance(matrix, np.ndarray) or matrix.dtype not in DTYPES:
                raise self._damaged(path.name, "it is no matrix of float16 or float32")
            if matrix.ndim != 2 or matrix.shape[1] != self.width:
                raise self._damaged(path.name, f"its shape is {matrix.shape}")
            self._shards[shard] = matrix
        return self._shards[shard]

    def _damaged(self, name: str, reason: str) -> UsageError:
        return UsageError(
            f"{self.path / name} is damaged ({reason}); `dfjax data verify` lists the damaged "
            "files, and `dfjax data features` computes them again with fresh set"
        )

    def open_crops(self) -> Pack | CropFiles | None:
        """Returns the crops that the features were computed from, with the same rows.

        The result is None if the crops are missing, or if they no longer include all videos and
        frames of the features.
        """
        source = self.path / self.record["source"]
        if not source.exists():
            return None
        pack = open_pack(source) if source.is_dir() else None
        index = read_index(source) if pack is None else pack.index
        rows = {video_id: row for row, video_id in enumerate(index["video_id"])}
        if not set(self.index["video_id"]) <= rows.keys():
            return None
        index = index.iloc[[rows[video_id] for video_id in self.index["video_id"]]]
        crops = (
            dataclasses.replace(pack, index=index)
            if pack
            else CropFiles(source.parent, index, self.crop_size, [])
        )
        included = (
            np.isin(self.frame_numbers(row), crops.frame_numbers(row)).all()
            for row in range(len(self))
        )
        return crops if all(included) else None


def open_crops(folder: Path) -> Pack | CropFiles | None:
    """Returns the crops of a pack, or those that a feature pack was computed from.

    The result is None if the crops of a feature pack are missing or have changed.

    Args:
        folder: Folder of a pack or of a feature pack.

    Raises:
        UsageError: The folder is neither.
    """
    return open_features(folder).open_crops() if is_feature_pack(folder) else open_pack(folder)


def shard_name(number: int) -> str:
    """Returns the file name of shard `number`."""
    return f"features-{number:05d}.npy"


def is_feature_pack(folder: Path) -> bool:
    """Returns whether a folder is a complete feature pack, as opposed to a pack of crops."""
    folder = find_pack(folder)
    return (folder / MANIFEST).is_file() and (folder / PARAMETERS).is_file()


def open_features(path: str | os.PathLike[str]) -> FeaturePack:
    """Returns the feature pack in folder `path`, or at a URL such as `gs://BUCKET/FEATURES`.

    Raises:
        UsageError: The folder is missing or is not a complete feature pack.
    """
    path = find_pack(path)
    if not is_feature_pack(path):
        raise UsageError(f"no feature pack at {path}; `dfjax data features` makes one")
    if not (path / "index.parquet").is_file():
        raise UsageError(
            f"{path} has no index.parquet; `dfjax data features` computes the features again with "
            "fresh set"
        )
    record = read_record(path)
    crop_size = int(read_manifest(path)["crop_size"])
    index = read_index(path / "index.parquet")
    if not {SHARD, ROW} <= set(index):
        raise UsageError(f"{path} has no {SHARD} and {ROW} in its index; {REMEDY}")
    check_places(index, [SHARD, ROW], path)
    return FeaturePack(path, index, crop_size, record, int(record["features"]))


def read_record(folder: Path) -> dict[str, Any]:
    """Returns the content of `features.json`.

    Its keys include `backbone` (name, options and origin of the parameters), `preprocess` (options
    of preprocessing), `features` (D) and `source` (path of the crops relative to the folder).

    Args:
        folder: Folder of a feature pack.

    Raises:
        UsageError: The file is missing, damaged, or does not describe features.
    """
    folder = find_pack(folder)
    if not (folder / RECORD).exists():
        raise UsageError(f"no features in {folder}; `dfjax data features` makes them")
    record = read_json(folder / RECORD, {str: object}, remedy=REMEDY)
    if not {"backbone", "features", "preprocess"} <= record.keys():  # that of a pack of crops
        raise UsageError(f"{folder} holds no features; `dfjax data features` makes them")
    check_value(record, RECORD_SCHEMA, name=str(folder / RECORD), remedy=REMEDY)
    return record
