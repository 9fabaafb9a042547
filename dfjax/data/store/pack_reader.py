"""Reads packs: any frames of any video in any order, decoding only these frames."""

import bisect
import dataclasses
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float16, UInt8

from dfjax.data.index.records import read_index
from dfjax.data.store.flow import decode_flow
from dfjax.data.store.flow_files import find_flow_stride
from dfjax.data.store.frame_store import CropStore
from dfjax.data.store.pack_builder import FRAMES_PER_RECORD
from dfjax.errors import UsageError

MANIFEST = "checksums.json"


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
        self._sources: dict[str, Any] = {}
        self._lock = threading.Lock()

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
        places = self.find_places(row, np.asarray(frame_numbers, np.int32))
        crops = np.empty((len(places), self.crop_size, self.crop_size, 3), np.uint8)
        records: dict[int, Sequence[bytes]] = {}
        for crop, frame, place in zip(crops, frame_numbers, places.tolist()):
            part, within = divmod(place, FRAMES_PER_RECORD)
            if part not in records:
                records[part] = self._record(row, part)["frames"]
            image = cv2.imdecode(np.frombuffer(records[part][within], np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise self._damaged(f"frame {frame} of row {row} is not an image")
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
                out[:] = decode_flow(records[part][within])
        return flow

    def _record(self, row: int, part: int) -> Any:
        try:
            return self._source(row)[self._records[row] + part]
        except (RuntimeError, OSError, ValueError, LookupError) as error:
            raise self._damaged((str(error) or type(error).__name__).splitlines()[0]) from error

    def _damaged(self, reason: str) -> UsageError:
        return UsageError(
            f"the pack {self.path} is damaged ({reason}); `dfjax data verify` lists the damaged "
            "files, and `dfjax data pack` makes it again with fresh set"
        )

    def _source(self, row: int) -> Any:
        split = self._splits[row]
        with self._lock:
            if split not in self._sources:
                builder = tfds.builder_from_directory(os.fspath(self.path))
                self._sources[split] = builder.as_data_source(split)
            return self._sources[split]


def open_pack(path: str | os.PathLike[str]) -> Pack:
    """Returns the pack in folder `path`.

    Raises:
        UsageError: The folder is missing or is not a complete pack.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"no pack at {path}; `dfjax data pack` makes one")
    manifest, index = read_manifest(path), read_index(path / "index.parquet")
    if "pack_row" not in index:
        raise UsageError(f"{path} holds features, not crops: set data.features={path}")
    return Pack(path, index, int(manifest["crop_size"]))


def read_manifest(path: Path) -> dict[str, Any]:
    """Returns the content of `checksums.json`.

    Its keys are `crop_size` (pixels), `source_sha256` (hash of what was packed) and `files`
    (SHA-256 by file name).

    Args:
        path: Folder of a pack or of a feature pack.

    Raises:
        UsageError: The file is missing, as in incomplete packs, or damaged.
    """
    try:
        return json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise UsageError(
            f"{path} is not a pack: it has no {MANIFEST}; `dfjax data pack` makes packs"
        ) from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path / MANIFEST} is damaged ({error}); pack again") from None
