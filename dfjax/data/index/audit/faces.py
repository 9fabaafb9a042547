"""Reads some face crops of every video as thumbnails, for statistics and near duplicates."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from dfjax.console import track
from dfjax.data.faces.crop_check import check_image
from dfjax.data.faces.crop_codec import decode_image
from dfjax.data.store.feature_pack import open_crops
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.store.pack_builder import frame_paths
from dfjax.data.store.pack_reader import MANIFEST
from dfjax.errors import InputError, UsageError
from dfjax.files import read_bytes

SHOTS = 3
"""Crops per video, at 1/6, 1/2 and 5/6 of its length, so that an edited copy has one in common."""

SIDE = 32
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class Faces(NamedTuple):
    """Thumbnails and statistics of the videos that have readable crops.

    Attributes:
        row: Position of each video in the index.
        patches: Grey thumbnails of its crops.
        colour: Means of red, green and blue over the crops, 0 to 255.
        contrast: Standard deviation of grey over the crops.
        content: Hash of the stored crops.
    """

    row: Int[np.ndarray, "M"]
    patches: UInt8[np.ndarray, "M shots side side"]
    colour: Float[np.ndarray, "M 3"]
    contrast: Float[np.ndarray, "M"]
    content: list[str]


Read = Callable[[int], tuple[list[np.ndarray], str]]
"""`read(row)` returns some RGB crops of a video, and a hash of the stored crops."""


def is_pack(folder: Path) -> bool:
    """Returns whether a folder has a pack, from which the crops of its index are then read."""
    return (folder / MANIFEST).is_file()


def read_faces(index: pd.DataFrame, folder: Path) -> tuple[Faces | None, dict[int, str]]:
    """Returns thumbnails of all videos with crops, and the errors of unreadable ones by row.

    Args:
        index: Index with one row per video.
        folder: Folder of the index, which may be that of a pack.
    """
    if not is_pack(folder):
        return read_thumbnails(index, make_file_reader(index, folder))
    crops = open_crops(folder)
    return read_thumbnails(index, make_pack_reader(crops)) if crops else (None, {})


def read_thumbnails(index: pd.DataFrame, read: Read) -> tuple[Faces | None, dict[int, str]]:
    """Returns thumbnails of all videos with crops, and the errors of unreadable ones by row.

    Args:
        index: Index with one row per video.
        read: Reader of crops.
    """
    rows = np.flatnonzero(has_crops(index))

    def read_one(row: int) -> tuple[np.ndarray, np.ndarray, str] | str:
        try:
            crops, content = read(row)
        except (OSError, ValueError, KeyError, cv2.error, InputError, UsageError) as error:
            return str(error) or type(error).__name__
        small = np.stack([cv2.resize(c, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for c in crops])
        grey = np.stack([cv2.cvtColor(c, cv2.COLOR_RGB2GRAY) for c in small])
        return grey, small.mean((0, 1, 2)), content

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        seen = list(
            track(threads.map(read_one, rows.tolist()), total=len(rows), what="reading faces")
        )
    errors = {int(row): one for row, one in zip(rows, seen) if isinstance(one, str)}
    good = [(row, one) for row, one in zip(rows, seen) if not isinstance(one, str)]
    if not good:
        return None, errors
    faces = Faces(
        row=np.array([row for row, _ in good], np.int64),
        patches=np.stack([one[0] for _, one in good]),
        colour=np.stack([one[1] for _, one in good]),
        contrast=np.array([one[0].std() for _, one in good]),
        content=[one[2] for _, one in good],
    )
    return faces, errors


def has_crops(index: pd.DataFrame) -> pd.Series:
    """Returns for each row of an index whether it names crops."""
    return index["frames_dir"].notna() & index["frame_indices"].map(bool)


def make_file_reader(index: pd.DataFrame, folder: Path) -> Read:
    """Returns a reader of crops that are files. JPEG files are decoded at a reduced size.

    Args:
        index: Index with one row per video.
        folder: Folder of the index.
    """
    named = has_crops(index)
    rows = dict(zip(np.flatnonzero(named), index[named].itertuples()))
    reduction = _find_reduction(rows.values(), folder)

    def read(row: int) -> tuple[list[np.ndarray], str]:
        paths = frame_paths(folder, rows[row])
        digest, crops = hashlib.sha1(usedforsecurity=False), []
        for place in _places(len(paths)):
            data = read_bytes(paths[place])
            digest.update(data)
            bgr = decode_image(data, _REDUCED[reduction])
            if bgr is None:
                raise ValueError(f"{paths[place].name} cannot be decoded")
            crops.append(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        return crops, digest.hexdigest()

    return read


def make_pack_reader(pack: FrameStore) -> Read:
    """Returns a reader of the crops of a pack."""

    def read(row: int) -> tuple[list[np.ndarray], str]:
        numbers = pack.frame_numbers(row)
        crops = pack.read(row, numbers[_places(len(numbers))])
        return list(crops), hashlib.sha1(crops.tobytes(), usedforsecurity=False).hexdigest()

    return read


def _places(n: int) -> list[int]:
    return [int(n * (2 * shot + 1) / (2 * SHOTS)) for shot in range(SHOTS)]


def _find_reduction(rows: Iterable[Any], folder: Path) -> int:
    """Returns the factor by which JPEG files are decoded smaller, so that 64 px remain."""
    for row in rows:
        size, _ = check_image(frame_paths(folder, row)[0])
        if size is not None:
            return max((f for f in _REDUCED if min(size) // f >= 2 * SIDE), default=1)
    return 1
