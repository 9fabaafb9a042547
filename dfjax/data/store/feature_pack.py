"""Feature packs: what a frame backbone makes of every crop, computed once and read many times.

FEATURES/ holds `index.parquet`, the rows of the data it was computed from with `feature_shard` and
`feature_row` (where a video's features begin); `features-NNNNN.npy`, one matrix [frames, D] each,
mapped into memory and never unpickled; `features.json`, what computed them; `backbone.safetensors`,
the parameters it took; `errors.jsonl`; and `checksums.json`, written last.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from dfjax.data.faces.crop_files import CropFiles
from dfjax.data.index.records import read_index
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.store.pack_reader import MANIFEST, Pack, open_pack, read_manifest
from dfjax.errors import UsageError

RECORD, PARAMETERS = "features.json", "backbone.safetensors"
SHARD, ROW = "feature_shard", "feature_row"


@dataclasses.dataclass(eq=False)
class FeaturePack(FrameStore):
    """Stored features on disk: their index, and random access to those of any frames.

    Attributes:
        record: `features.json`: backbone, parameters, preprocessing.
        width: D, numbers per frame.
    """

    content = "features"
    record: dict[str, Any]
    width: int

    def __post_init__(self) -> None:
        """Looks up once what every read needs."""
        super().__post_init__()
        self._places = list(zip(self.index[SHARD].tolist(), self.index[ROW].tolist()))
        self._shards: dict[int, np.ndarray] = {}

    def empty(self, clips: int, frames: int) -> Float32[np.ndarray, "B T D"]:
        """Returns clips whose features are all 0."""
        return np.zeros((clips, frames, self.width), np.float32)

    def read(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray
    ) -> Float32[np.ndarray, "T D"]:
        """Returns the features of the given source frames of video `row`, in the order asked.

        Raises:
            KeyError: there are none of one of the frames.
            UsageError: a file is damaged; it is named.
        """
        places = self.find_places(row, np.asarray(frame_numbers, np.int32))
        shard, first = self._places[row]
        name = shard_name(shard)
        try:
            features = self._open(shard)[first + places].astype(np.float32)
        except IndexError:
            raise self._damaged(name, "it has fewer frames than the index says") from None
        if not np.isfinite(features).all():
            raise self._damaged(name, "it holds numbers that are not finite")
        return features

    def _open(self, shard: int) -> np.ndarray:
        if shard not in self._shards:
            path = self.path / shard_name(shard)
            try:
                matrix = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise self._damaged(path.name, str(error).splitlines()[0]) from error
            if matrix.ndim != 2 or matrix.shape[1] != self.width:
                raise self._damaged(path.name, f"its shape is {matrix.shape}")
            self._shards[shard] = matrix
        return self._shards[shard]

    def _damaged(self, name: str, reason: str) -> UsageError:
        return UsageError(
            f"{self.path / name} is damaged ({reason}); `dfjax data verify` names the "
            "damaged files, and features can be computed anew (`dfjax data features`, fresh)"
        )

    def open_crops(self) -> Pack | CropFiles | None:
        """Returns the crops that the features are of, with the same rows, if they are still there.

        Also None when they have been made anew with other videos or frames.
        """
        place = self.path / self.record["source"]
        if not place.exists():
            return None
        pack = open_pack(place) if place.is_dir() else None
        index = read_index(place) if pack is None else pack.index
        rows = {video_id: row for row, video_id in enumerate(index["video_id"])}
        if not set(self.index["video_id"]) <= rows.keys():
            return None
        index = index.iloc[[rows[video_id] for video_id in self.index["video_id"]]]
        crops = (
            dataclasses.replace(pack, index=index)
            if pack
            else CropFiles(place.parent, index, self.crop_size, [])
        )
        same = (
            np.isin(self.frame_numbers(row), crops.frame_numbers(row)).all()
            for row in range(len(self))
        )
        return crops if all(same) else None


def open_crops(folder: Path) -> Pack | CropFiles | None:
    """Returns the crops of a pack, or those that a feature pack is of, if they are still there.

    Raises:
        UsageError: the folder is neither.
    """
    return open_features(folder).open_crops() if is_feature_pack(folder) else open_pack(folder)


def shard_name(number: int) -> str:
    """Returns the file name of a shard."""
    return f"features-{number:05d}.npy"


def is_feature_pack(folder: Path) -> bool:
    """Returns whether a folder is a finished feature pack; packs of crops are not."""
    return (folder / MANIFEST).is_file() and (folder / PARAMETERS).is_file()


def open_features(path: str | os.PathLike[str]) -> FeaturePack:
    """Returns the feature pack in folder `path`.

    Raises:
        UsageError: no such folder, or not a finished feature pack.
    """
    path = Path(path)
    if not is_feature_pack(path):
        raise UsageError(f"no feature pack at {path}; `dfjax data features` makes one")
    if not (path / "index.parquet").is_file():
        raise UsageError(
            f"{path} has lost its index: compute the features anew (`dfjax data features`, fresh)"
        )
    record = read_record(path)
    crop_size = int(read_manifest(path)["crop_size"])
    index = read_index(path / "index.parquet")
    return FeaturePack(path, index, crop_size, record, int(record["features"]))


def read_record(folder: Path) -> dict[str, Any]:
    """Returns `features.json`: what computed the features.

    Raises:
        UsageError: there is none, it is damaged, or is of another kind.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no features in {folder}; `dfjax data features` makes them") from None
    except ValueError as error:
        raise UsageError(f"{folder / RECORD} is damaged: {error}") from None
    if not {"backbone", "features", "preprocess"} <= record.keys():  # packs of crops have one too
        raise UsageError(f"{folder} holds no features; `dfjax data features` makes them")
    return record
