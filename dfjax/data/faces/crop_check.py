"""Checks that the crops that an index names can be read."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.data.each_row import Row, RunEach, Task, describe_reasons, run_in_threads
from dfjax.data.faces.crop_codec import decode_image
from dfjax.data.index.list_columns import PER_FRAME
from dfjax.data.store.pack_builder import frame_paths
from dfjax.errors import UsageError
from dfjax.files import read_bytes

ENDS = ((b"\xff\xd8", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))
"""First and last bytes of complete JPEG and PNG files. Decoders accept truncated files."""

NEEDED = ("video_id", "frames_dir", "frame_indices", "frame_names")
"""Columns of the index that name the crops of a video."""


def check_crops(
    table: pd.DataFrame, index_path: Path, run: RunEach = run_in_threads
) -> tuple[pd.DataFrame, int, list[dict[str, str]]]:
    """Returns the index of usable crops, their size, and an error per unusable frame or video.

    Args:
        table: Index after extraction.
        index_path: File of the index; `frames_dir` is relative to its folder.
        run: Function that calls another one for each video.

    Raises:
        UsageError: No crop is readable, or the crops are not squares of one size.
    """
    rows = list(table.itertuples())
    tasks = [{name: getattr(row, name, None) for name in NEEDED} for row in rows]
    checked = run("check", functools.partial(check_video, str(index_path.parent.absolute())), tasks)
    good = [result.get("good", []) for result in checked]
    errors = [
        {"video_id": row.video_id, "path": str(row.frames_dir), "stage": "pack", "error": error}
        for row, result in zip(rows, checked)
        for error in describe_reasons(result)
    ]
    if not any(good):
        raise UsageError(
            f"none of the crops that {index_path} names is readable ({errors[0]['path']}: "
            f"{errors[0]['error']}); is the index still beside its crops?"
        )
    crop_size = _common_size(rows, [result.get("sizes", []) for result in checked])
    kept = table[[bool(places) for places in good]].reset_index(drop=True)
    places = [chosen for chosen in good if chosen]
    for column in (name for name in PER_FRAME if name in kept):
        kept[column] = [_take(v, p) for v, p in zip(kept[column], places)]
    return kept, crop_size, errors


def _take(values: Sequence[Any] | None, places: list[int]) -> list[Any] | None:
    return None if values is None else [values[place] for place in places]


def check_video(folder: str, task: Task) -> Task:
    """Returns the positions of the readable crops of a video (`good`), and their `sizes`.

    Args:
        folder: Folder of the index.
        task: The columns `NEEDED` of the video's row.
    """
    row: Any = Row(task)
    if not isinstance(row.frames_dir, str) or not row.frame_indices:
        return {"good": [], "sizes": [], "reasons": [("", "no face crops were extracted")]}
    good, sizes, reasons = [], set(), []
    for place, path in enumerate(frame_paths(Path(folder), row)):
        size, error = check_image(path)
        if size is None:
            reasons.append((path.name, error))
        else:
            good.append(place)
            sizes.add(size)
    return {"good": good, "sizes": sorted(sizes), "reasons": reasons}


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


def _common_size(rows: list[Any], sizes: list[list[Sequence[int]]]) -> int:
    first: dict[tuple[int, ...], str] = {}
    for row, found in zip(rows, sizes):
        if len(found) > 1:
            shown = sorted(map(tuple, found))
            raise UsageError(f"{row.video_id} has crops of different sizes: {shown}")
        for size in found:
            first.setdefault(tuple(size), row.video_id)
    if len(first) > 1:
        listed = ", ".join(f"{h}x{w} ({video})" for (h, w), video in first.items())
        raise UsageError(f"crops of different sizes: {listed}; extract all of them with one size")
    (height, width), video = first.popitem()
    if height != width:
        raise UsageError(f"crops must be square, but those of {video} are {height}x{width}")
    return height
