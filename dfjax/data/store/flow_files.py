"""Finds and checks the optical flow files that an index names."""

import functools
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.data.each_row import Row, RunEach, Task, check_files, describe_reasons, run_in_threads
from dfjax.data.store.flow import decode_flow
from dfjax.errors import InputError, UsageError

NEEDED = ("video_id", "frame_indices", "flow_dir", "flow_indices")
"""Columns of the index that name the flow of a video."""


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
    table: pd.DataFrame, folder: Path, crop_size: int, run: RunEach = run_in_threads
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Returns the index without unusable flow, and an error for each unusable file.

    Flow that starts or ends at a frame without a crop is left out without an error, because no clip
    can use it.

    Args:
        table: Index with flow whose `frame_indices` name only readable crops.
        folder: Folder of the index file.
        crop_size: Side of the crops in pixels, which the flow must also have.
        run: Function that calls another one for each video.

    Raises:
        UsageError: Videos have flow of different strides.
    """
    stride = find_flow_stride(table) or 0
    rows = list(table.itertuples())
    tasks = [{name: getattr(row, name) for name in NEEDED} for row in rows]
    check = functools.partial(check_flow, str(folder.absolute()), stride, crop_size)
    checked = run("flow", check, tasks)
    errors = [
        {"video_id": row.video_id, "path": str(row.flow_dir), "stage": "pack", "error": error}
        for row, result in zip(rows, checked)
        for error in describe_reasons(result)
    ]
    kept = [result.get("good", []) for result in checked]
    good = pd.Series(kept, index=table.index, dtype=object)
    return table.assign(flow_indices=good), errors


def check_flow(folder: str, stride: int, size: int, task: Task) -> Task:
    """Returns the frames of a video from which there is usable flow (`good`).

    Args:
        folder: Folder of the index.
        stride: Stride of the flow in source frames.
        size: Side of the crops in pixels.
        task: The columns `NEEDED` of the video's row.
    """
    row: Any = Row(task)
    there = set(row.frame_indices)
    named = row.flow_indices if isinstance(row.flow_dir, str) else []
    starts = (n for n in named if n in there and n + stride in there)

    def check(data: bytes) -> None:
        height, width = decode_flow(data).shape[:2]
        if (height, width) != (size, size):
            raise InputError(f"its flow is {width}x{height}, but crops are {size}x{size}")

    return check_files(starts, lambda n: flow_path(Path(folder), row, n), check)
