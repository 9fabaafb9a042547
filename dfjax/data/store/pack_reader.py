"""Reads packs: any frames of any video in any order, decoding only these frames."""

import bisect
import dataclasses
import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float16, Float32, UInt8

from dfjax.data.faces.crop_codec import decode_image
from dfjax.data.index.records import read_index
from dfjax.data.store.flow import decode_flow
from dfjax.data.store.flow_files import find_flow_stride
from dfjax.data.store.frame_store import CropStore, check_places
from dfjax.data.store.mask_files import decode_mask, has_masks
from dfjax.data.store.pack_builder import FRAMES_PER_RECORD, FaceClips, find_features, find_pictures
from dfjax.data.store.record_files import RecordFiles
from dfjax.errors import FileError, InputError, UsageError
from dfjax.json_files import read_json
from dfjax.object_stores import find_pack

MANIFEST = "checksums.json"
MAX_CROP_SIZE = 2**13
COMMON_FILES = (
    *("index.parquet", "features.json", "crop_recipe.json", "errors.jsonl", MANIFEST),
    ".*.partial*",
)
"""Files of packs and of feature packs, as patterns."""

PACK_FILES = ("dataset_info.json", "*.labels.txt", f"{FaceClips.name}-*.array_record-*")
"""Files of packs only, as patterns."""

MANIFEST_SCHEMA = {"crop_size": int, "files": {str: str}, "source_sha256": str}


@dataclasses.dataclass(eq=False)
class Pack(CropStore):
    """Face crops of a pack.

    The column `pack_split` of `index`, if there is one, is the split in which a video's records are
    stored. It must be added when the column `split` is changed in memory.
    """

    def __post_init__(self) -> None:
        """Prepares the position of each video's records."""
        super().__post_init__()
        self._splits = self.index.get("pack_split", self.index["split"]).tolist()
        self._records = self.index["pack_row"].tolist()
        self.flow_stride = find_flow_stride(self.index)
        self._ids = self.index["video_id"].tolist()
        self.has_masks = has_masks(self.index)
        self._pictures = find_pictures(self.index)
        self._files = RecordFiles(self.path, FaceClips.name, find_features(self._pictures))

    def read(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray
    ) -> UInt8[np.ndarray, "T S S 3"]:
        """Returns the RGB crops of the given source frames of video `row`, in the given order.

        Args:
            row: Position of the video in `index`.
            frame_numbers: T source frame numbers in any order.

        Raises:
            KeyError: A frame has no crop.
            UsageError: The files of the pack are damaged.
        """
        files = self._read_files(row, frame_numbers, "frames")
        crops = np.empty((len(frame_numbers), self.crop_size, self.crop_size, 3), np.uint8)
        for crop, frame, data in zip(crops, frame_numbers, files, strict=True):
            image = decode_image(data, most_pixels=self.crop_size**2)
            if image is None or image.shape != crop.shape:
                raise self._damaged(f"frame {frame} of row {row} is not an image of this size")
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=crop)
        return crops

    def read_flow(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray
    ) -> Float16[np.ndarray, "t S S 2"]:
        """Returns the flow from each given frame of video `row` to the next one, in pixels.

        The flow is zero if the two frames are not `flow_stride` apart or if none is stored.

        Args:
            row: Position of the video in `index`.
            frame_numbers: t + 1 source frame numbers.

        Raises:
            UsageError: The files of the pack are damaged.
        """
        have, pairs = self._frames[row], list(zip(frame_numbers, frame_numbers[1:]))
        flow = np.zeros((len(pairs), self.crop_size, self.crop_size, 2), np.float16)
        records: dict[int, Sequence[bytes]] = {}
        for out, (frame, following) in zip(flow, pairs):
            if following - frame != self.flow_stride:
                continue
            part, within = divmod(bisect.bisect_left(have, frame), FRAMES_PER_RECORD)
            if part not in records:
                records[part] = self._record(row, part)["flow"]
            if records[part][within]:
                out[:] = self._decode_flow(row, int(frame), records[part][within])
        return flow

    def read_region(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray
    ) -> UInt8[np.ndarray, "T S S 1"] | None:
        """Returns where the given source frames of video `row` are manipulated, 0 to 255.

        The result is None if one of them has no mask.

        Args:
            row: Position of the video in `index`.
            frame_numbers: T source frame numbers in any order.

        Raises:
            KeyError: A frame has no crop.
            UsageError: The files of the pack are damaged.
        """
        files = self._read_files(row, frame_numbers, "region")
        region = np.empty((len(frame_numbers), self.crop_size, self.crop_size, 1), np.uint8)
        for out, frame, data in zip(region, frame_numbers, files, strict=True):
            if not data:
                return None
            try:
                out[..., 0] = decode_mask(data, self.crop_size)
            except InputError as error:
                raise self._damaged(f"frame {frame} of row {row}: {error}") from error
        return region

    def _read_files(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray, name: str
    ) -> Iterator[bytes]:
        """Yields an entry of the records of a video for each frame; each record is read once."""
        records: dict[int, Sequence[bytes]] = {}
        for place in self.find_places(row, np.asarray(frame_numbers, np.int32)).tolist():
            part, within = divmod(place, FRAMES_PER_RECORD)
            if part not in records:
                records[part] = self._record(row, part)[name]
            yield records[part][within]

    def _decode_flow(self, row: int, frame: int, data: bytes) -> Float32[np.ndarray, "S S 2"]:
        try:
            flow = decode_flow(data)
        except InputError as error:
            raise self._damaged(f"frame {frame} of row {row}: {error}") from error
        if flow.shape[:2] != (self.crop_size, self.crop_size):
            raise self._damaged(f"no flow of this size in frame {frame} of row {row}")
        return flow

    def _record(self, row: int, part: int) -> dict[str, Any]:
        try:
            records = self._files.open(self._splits[row])
            record = records[self._records[row] + part]
        except FileError as error:
            raise self._damaged(str(error)) from error
        numbers = self._frames[row][part * FRAMES_PER_RECORD : (part + 1) * FRAMES_PER_RECORD]
        same = np.array_equal(record["frame_indices"], numbers)
        lists = [record[name] for name in ("frames", *self._pictures)]
        same &= record["part"] == part and {len(values) for values in lists} == {len(numbers)}
        if not same or record["video_id"] != self._ids[row].encode():
            raise self._damaged(f"its index and its records differ in row {row}")
        return record

    def _damaged(self, reason: str) -> UsageError:
        return UsageError(
            f"the pack {self.path} is damaged ({reason}); `dfjax data verify` lists the damaged "
            "files, and `dfjax data pack` makes it again with fresh set"
        )


def open_pack(path: str | os.PathLike[str]) -> Pack:
    """Returns the pack in folder `path`, or at a URL such as `gs://BUCKET/PACK`.

    Raises:
        UsageError: The folder is missing or is not a complete pack.
    """
    path = find_pack(path)
    if not path.is_dir():
        raise UsageError(f"no pack at {path}; `dfjax data pack` makes one")
    manifest, index = read_manifest(path), read_index(path / "index.parquet")
    if "pack_row" not in index:
        raise UsageError(f"{path} holds features, not crops: set data.features={path}")
    check_places(index, ["pack_row"], path)
    return Pack(path, index, int(manifest["crop_size"]))


def check_replaceable(folder: Path, patterns: Sequence[str]) -> None:
    """Checks that a pack that is to be replaced holds no files but its own.

    Args:
        folder: Folder of a pack or of a feature pack.
        patterns: Names of its files besides `COMMON_FILES`, as of `fnmatch`.

    Raises:
        UsageError: Another file or a folder is there.
    """
    known = (*COMMON_FILES, *patterns)
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not any(fnmatch.fnmatch(path.name, name) for name in known):
            raise UsageError(
                f"{folder} holds {path.name}, which is not of the pack and would be deleted with "
                "it: move it away, or choose another folder"
            )


def read_manifest(path: Path) -> dict[str, Any]:
    """Returns the content of `checksums.json`.

    Its keys are `crop_size` (pixels), `source_sha256` (hash of what was packed) and `files`
    (SHA-256 by file name).

    Args:
        path: Folder of a pack or of a feature pack.

    Raises:
        UsageError: The file is missing, as in incomplete packs, or damaged.
    """
    if not (path / MANIFEST).exists():
        raise UsageError(
            f"{path} is not a pack: it has no {MANIFEST}; `dfjax data pack` makes packs"
        )
    manifest: dict[str, Any] = read_json(path / MANIFEST, MANIFEST_SCHEMA, remedy="pack again")
    if not 0 < manifest["crop_size"] <= MAX_CROP_SIZE:
        raise FileError(f"{path / MANIFEST} is damaged: crops of {manifest['crop_size']} px")
    return manifest
