"""Checks that the crops that an index names can be read."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfjax.console import track
from dfjax.data.faces.crop_codec import decode_image
from dfjax.data.index.list_columns import PER_FRAME
from dfjax.data.store.pack_builder import frame_paths
from dfjax.errors import UsageError
from dfjax.files import read_bytes

ENDS = ((b"\xff\xd8", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))
"""First and last bytes of complete JPEG and PNG files. Decoders accept truncated files."""


class _Checked(NamedTuple):
    """Result for one video: readable crops, their common size, and the errors of the others."""

    good: list[int]  # positions in frame_indices
    size: tuple[int, int] | None
    errors: list[str]


def check_crops(
    table: pd.DataFrame, index_path: Path
) -> tuple[pd.DataFrame, int, list[dict[str, str]]]:
    """Returns the index of usable crops, their size, and an error per unusable frame or video.

    Args:
        table: Index after extraction.
        index_path: File of the index; `frames_dir` is relative to its folder.

    Raises:
        UsageError: No crop is readable, or the crops are not squares of one size.
    """
    rows = list(table.itertuples())
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(lambda row: _check_video(row, index_path.parent), rows)
        checked = list(track(results, total=len(rows), what="checking crops"))
    errors = [
        {"video_id": row.video_id, "path": str(row.frames_dir), "stage": "pack", "error": error}
        for row, result in zip(rows, checked)
        for error in result.errors
    ]
    if not any(result.good for result in checked):
        raise UsageError(
            f"none of the crops that {index_path} names is readable ({errors[0]['path']}: "
            f"{errors[0]['error']}); is the index still beside its crops?"
        )
    crop_size = _common_size(rows, checked)
    kept = table[[bool(result.good) for result in checked]].reset_index(drop=True)
    places = [result.good for result in checked if result.good]
    for column in (name for name in PER_FRAME if name in kept):
        kept[column] = [_take(v, p) for v, p in zip(kept[column], places)]
    return kept, crop_size, errors


def _take(values: Sequence[Any] | None, places: list[int]) -> list[Any] | None:
    return None if values is None else [values[place] for place in places]


def _check_video(row: Any, folder: Path) -> _Checked:
    if not isinstance(row.frames_dir, str) or not row.frame_indices:
        return _Checked([], None, ["no face crops were extracted"])
    good, sizes, errors = [], set(), []
    for place, path in enumerate(frame_paths(folder, row)):
        size, error = check_image(path)
        if size is None:
            errors.append(f"{path.name}: {error}")
        else:
            good.append(place)
            sizes.add(size)
    if len(sizes) > 1:
        raise UsageError(f"{row.video_id} has crops of different sizes: {sorted(sizes)}")
    return _Checked(good, sizes.pop() if sizes else None, errors)


def check_frames(row: Any, folder: Path) -> list[str]:
    """Returns the errors of the crops of a row of the index, one per unreadable file.

    Args:
        row: Row of the index, as from `DataFrame.itertuples`.
        folder: Folder of the index.
    """
    results = ((path.name, check_image(path)) for path in frame_paths(folder, row))
    return [f"{name}: {error}" for name, (size, error) in results if size is None]


def check_image(path: Path) -> tuple[tuple[int, int] | None, str]:
    """Returns height and width of a JPEG or PNG file, or None and the error."""
    try:
        data = read_bytes(path)
    except OSError as error:
        return None, error.strerror or str(error)
    body = data.rstrip(b"\0")
    if not any(data.startswith(first) and body.endswith(last) for first, last in ENDS):
        return None, "not a complete JPEG or PNG file"
    image = decode_image(data)
    return (None, "cannot be decoded, or too large") if image is None else (image.shape[:2], "")


def _common_size(rows: list[Any], checked: list[_Checked]) -> int:
    first: dict[tuple[int, int], str] = {}
    for row, result in zip(rows, checked):
        if result.size is not None:
            first.setdefault(result.size, row.video_id)
    if len(first) > 1:
        found = ", ".join(f"{h}x{w} ({video})" for (h, w), video in first.items())
        raise UsageError(f"crops of different sizes: {found}; extract all of them with one size")
    (height, width), video = first.popitem()
    if height != width:
        raise UsageError(f"crops must be square, but those of {video} are {height}x{width}")
    return height
