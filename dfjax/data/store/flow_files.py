"""Finds and checks the optical flow files that an index names."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.data.store.flow import decode_flow
from dfjax.errors import InputError, UsageError
from dfjax.files import read_bytes


def has_flow(table: pd.DataFrame) -> bool:
    """Returns whether any row of an index has flow."""
    return "flow_dir" in table and bool(table["flow_dir"].notna().any())


def find_flow_stride(table: pd.DataFrame) -> int | None:
    """Returns the stride of the flow of an index in source frames, or None without flow.

    Args:
        table: Index, with the column `flow_stride` if it has flow.

    Raises:
        UsageError: Videos have flow of different strides.
    """
    if not has_flow(table):
        return None
    strides = sorted(set(table["flow_stride"].dropna().astype(int)))
    if len(strides) != 1:
        raise UsageError(
            f"videos have flow of different strides ({strides}); make it with one stride"
        )
    return strides[0]


def flow_path(folder: Path, row: Any, frame: int) -> Path:
    """Returns the path of the flow that starts at source frame `frame`.

    Args:
        folder: Folder of the index file.
        row: Row of the index.
        frame: Source frame number.
    """
    return folder / row.flow_dir / f"{frame:06d}.png"


def read_flow_bytes(folder: Path, row: Any, frames: list[int]) -> list[bytes]:
    """Returns the encoded flow from each frame, which is empty for frames without flow.

    Args:
        folder: Folder of the index file.
        row: Row of the index.
        frames: Source frame numbers.
    """
    there = set(row.flow_indices) if isinstance(row.flow_dir, str) else set()
    return [flow_path(folder, row, n).read_bytes() if n in there else b"" for n in frames]


def check_flows(
    table: pd.DataFrame, folder: Path, crop_size: int
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Returns the index without unusable flow, and an error for each unusable file.

    Flow that starts or ends at a frame without a crop is left out without an error, because no clip
    can use it.

    Args:
        table: Index with flow whose `frame_indices` name only readable crops.
        folder: Folder of the index file.
        crop_size: Side of the crops in pixels, which the flow must also have.

    Raises:
        UsageError: Videos have flow of different strides.
    """
    stride = find_flow_stride(table) or 0
    rows = list(table.itertuples())
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        checked = list(threads.map(lambda row: _check(row, folder, stride, crop_size), rows))
    errors = [
        {"video_id": row.video_id, "path": str(row.flow_dir), "stage": "pack", "error": error}
        for row, (_, found) in zip(rows, checked)
        for error in found
    ]
    good = pd.Series([frames for frames, _ in checked], index=table.index, dtype=object)
    return table.assign(flow_indices=good), errors


def _check(row: Any, folder: Path, stride: int, size: int) -> tuple[list[int], list[str]]:
    good, errors = [], []
    there = set(row.frame_indices)
    starts = row.flow_indices if isinstance(row.flow_dir, str) else []
    for start in (n for n in starts if n in there and n + stride in there):
        path = flow_path(folder, row, start)
        try:
            height, width = decode_flow(read_bytes(path)).shape[:2]
            if (height, width) != (size, size):
                raise InputError(f"its flow is {width}x{height}, but crops are {size}x{size}")
            good.append(start)
        except OSError as error:
            errors.append(f"{path.name}: {error.strerror}")
        except InputError as error:
            errors.append(f"{path.name}: {error}")
    return good, errors
