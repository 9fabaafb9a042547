"""Finds, checks and decodes the crops of manipulation masks that an index names.

A mask is a gray PNG of the size of the crops, 255 where the frame is manipulated. `data extract`
cuts it from the mask video of the data set (`dfjax.data.faces.mask_crops`).
"""

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8

from dfjax.data.each_row import Row, RunEach, Task, check_files, describe_reasons, run_in_threads
from dfjax.data.faces.crop_codec import decode_image
from dfjax.errors import InputError

NEEDED = ("video_id", "frame_indices", "mask_dir", "mask_indices")
"""Columns of the index that name the masks of a video."""


def has_masks(table: pd.DataFrame) -> bool:
    """Returns whether any row of an index has masks."""
    return "mask_dir" in table and bool(table["mask_dir"].notna().any())


def mask_file(folder: Path, row: Any, frame: int) -> Path:
    """Returns the path of the mask of source frame `frame`.

    Args:
        folder: Folder of the index file.
        row: Row of the index.
        frame: Source frame number.
    """
    return folder / row.mask_dir / f"{frame:06d}.png"


def read_mask_bytes(folder: Path, row: Any, frames: list[int]) -> list[bytes]:
    """Returns the encoded mask of each frame, which is empty for frames without a mask.

    Args:
        folder: Folder of the index file.
        row: Row of the index.
        frames: Source frame numbers.
    """
    there = set(row.mask_indices) if isinstance(row.mask_dir, str) else set()
    return [mask_file(folder, row, n).read_bytes() if n in there else b"" for n in frames]


def decode_mask(data: bytes, size: int) -> UInt8[np.ndarray, "size size"]:
    """Returns the mask in a PNG file.

    Args:
        data: Content of the file.
        size: Side of the crops in pixels, which the mask must also have.

    Raises:
        InputError: The data are damaged, another kind of picture, or of another size.
    """
    mask = decode_image(data, cv2.IMREAD_UNCHANGED)
    if mask is None or mask.dtype != np.uint8 or mask.ndim != 2:
        raise InputError("not a mask, or damaged")
    if mask.shape != (size, size):
        raise InputError(f"its mask is {mask.shape[1]}x{mask.shape[0]}, but crops {size}x{size}")
    return mask


def check_masks(
    table: pd.DataFrame, folder: Path, crop_size: int, run: RunEach = run_in_threads
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Returns the index without unusable masks, and an error for each unusable file.

    Masks of frames without a crop are left out without an error, because no clip can use them.

    Args:
        table: Index with masks whose `frame_indices` name only readable crops.
        folder: Folder of the index file.
        crop_size: Side of the crops in pixels.
        run: Function that calls another one for each video.
    """
    rows = list(table.itertuples())
    tasks = [{name: getattr(row, name) for name in NEEDED} for row in rows]
    check = functools.partial(check_video_masks, str(folder.absolute()), crop_size)
    checked = run("masks", check, tasks)
    errors = [
        {"video_id": row.video_id, "path": str(row.mask_dir), "stage": "pack", "error": error}
        for row, result in zip(rows, checked)
        for error in describe_reasons(result)
    ]
    kept = [
        result.get("good", []) if isinstance(row.mask_dir, str) else None
        for row, result in zip(rows, checked)
    ]
    return table.assign(mask_indices=pd.Series(kept, index=table.index, dtype=object)), errors


def check_video_masks(folder: str, size: int, task: Task) -> Task:
    """Returns the frames of a video that have a usable mask (`good`).

    Args:
        folder: Folder of the index.
        size: Side of the crops in pixels.
        task: The columns `NEEDED` of the video's row.
    """
    row: Any = Row(task)
    there = set(row.frame_indices)
    named = row.mask_indices if isinstance(row.mask_dir, str) else []

    def check(data: bytes) -> None:
        decode_mask(data, size)

    return check_files(
        (n for n in named if n in there), lambda n: mask_file(Path(folder), row, n), check
    )
