"""Computes the optical flow of all crops of an index, in parallel and resumable by video.

The flow from source frame n to n + stride is stored in `OUT/flow/VIDEO_ID/%06d.png`, named after n.
The stride must be the distance of neighbouring frames in the clips of training (`data.stride`),
which is usually more than 1.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from dfjax.console import track
from dfjax.data.faces.crop_codec import decode_image
from dfjax.data.faces.extract import crops_folder
from dfjax.data.faces.recipe import CropRecipe, make_metadata, read_crop_recipe
from dfjax.data.faces.worker_pool import check_limits, run_tasks
from dfjax.data.index.error_log import ErrorLog
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import find_index, read_index, write_index
from dfjax.data.store.flo_file import read_flo
from dfjax.data.store.flow import Crop, compute_flow, encode_flow
from dfjax.data.store.flow_report import FlowReport
from dfjax.data.store.pack_builder import frame_paths
from dfjax.errors import InputError, UsageError
from dfjax.files import atomic_path, read_bytes
from dfjax.json_files import read_mark
from dfjax.outputs import check_folder, check_inside, check_outputs, mark_folder

MARK_FILE = "flow.json"  # in the folder of a video's flow; marks it as complete
STRIDE = 3  # data.stride of most configs


class FlowTask(NamedTuple):
    """Task of making the flow of one video.

    Attributes:
        video_id: Id of the video.
        frames: Source frame numbers of its crops.
        crops: Paths of its crops.
        out: Folder of the index with flow.
        target: Folder in it to write the video's flow to.
        flo: Folder of its `.flo` files, or None to compute the flow.
    """

    video_id: str
    frames: list[int]
    crops: list[str]
    out: str
    target: str
    flo: str | None


def write_flow(
    index: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    stride: int = STRIDE,
    flo_root: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    time_limit: float = 600.0,
    command: str = "dfjax data flow",
) -> FlowReport:
    """Writes the flow between the crops of an index, and the index that names it.

    Flow that `out` already holds is kept, so that repeating an interrupted call resumes it.

    Args:
        index: Index file after extraction.
        out: Folder to write.
        stride: Number of source frames from the first to the second frame of each flow.
        flo_root: Folder of `VIDEO_ID/%06d.flo` files to read instead of computing flow.
        workers: Number of processes; None is the number of cores.
        time_limit: Seconds per video, after which it counts as an error.
        command: Command to record in the metadata of the index.

    Raises:
        UsageError: The index or a folder is missing, an argument is out of range, an id cannot name
            a folder, or no video has flow.
    """
    source, out = Path(index), Path(out)
    workers = check_limits(workers, time_limit)
    if stride < 1:
        raise UsageError(f"stride must be positive, not {stride}")
    if flo_root and not Path(flo_root).is_dir():
        raise UsageError(f"there is no folder {flo_root} (flo_root)")
    table, target = read_index(source), out / "index.parquet"
    check_outputs([target, out / "errors.jsonl"], inputs=[find_index(source)])
    tasks = make_tasks(table, source.parent, out, Path(flo_root) if flo_root else None)
    check_folder(out / "flow", inputs=[task.flo for task in tasks if task.flo], owner=target)
    mark_folder(out / "flow")
    log = ErrorLog(out / "errors.jsonl")
    done: dict[int, list[int]] = {}
    function = functools.partial(make_flow, stride)
    outcomes = run_tasks(function, tasks, workers=workers, time_limit=time_limit)
    for position, starts, error in track(outcomes, total=len(tasks), what="videos"):
        if error is None:
            done[position] = starts
        else:
            video_id, path = tasks[position].video_id, str(table["path"].iloc[position])
            log.add(video_id=video_id, path=path, stage="flow", error=error)
    if not done:
        raise UsageError(
            f"none of the {len(tasks)} videos has flow{log.describe()}; see {log.path}"
        )
    made = add_flow(rebase_frames(table, source.parent, out), out, tasks, done, stride)
    metadata = make_flow_metadata(read_crop_recipe(source), "flo" if flo_root else "dis")
    write_index(made, target, command=command, metadata=metadata)
    flows = sum(map(len, done.values()))
    return FlowReport(target, len(done), flows, stride, log.count, log.path)


def make_flow_metadata(recipe: CropRecipe | None, method: str) -> dict[str, str]:
    """Returns the metadata of an index with flow: the crop recipe with the method of the flow.

    Args:
        recipe: Crop recipe, or None if it is not known.
        method: How the flow was made, `dis` or `flo` (see `CropRecipe`).
    """
    if recipe is None:
        return {}
    return make_metadata(dataclasses.replace(recipe, flow_method=method))


def find_pairs(frames: Sequence[int], stride: int) -> list[int]:
    """Returns the source frames n for which the frame n + `stride` also exists.

    Args:
        frames: Source frame numbers of a video's crops.
        stride: Number of source frames from the first to the second frame of a flow.
    """
    there = set(frames)
    return [n for n in frames if n + stride in there]


def make_tasks(
    index: pd.DataFrame, folder: Path, out: Path, flo_root: Path | None
) -> list[FlowTask]:
    """Returns a task per row of an index after extraction.

    Args:
        index: Index of the crops.
        folder: Folder of the index file.
        out: Folder to write.
        flo_root: Folder of `VIDEO_ID/%06d.flo` files, or None to compute the flow.

    Raises:
        UsageError: An id leads outside of `out`.
    """
    tasks = []
    for row in index.itertuples():
        inside = crops_folder(Path(), row.video_id).relative_to("crops")
        extracted = isinstance(row.frames_dir, str) and bool(row.frame_indices)
        tasks.append(
            FlowTask(
                video_id=row.video_id,
                frames=list(row.frame_indices) if extracted else [],
                crops=[str(path) for path in frame_paths(folder, row)] if extracted else [],
                out=str(out),
                target=str(out / "flow" / inside),
                flo=str(flo_root / inside) if flo_root else None,
            )
        )
    return tasks


def make_flow(stride: int, task: FlowTask) -> list[int]:
    """Writes the flow of one video, unless it is complete; returns the frames that it starts from.

    Args:
        stride: Number of source frames from the first to the second frame of each flow.
        task: Files of the video.

    Raises:
        InputError: No two crops are `stride` source frames apart, or a crop or a `.flo` file cannot
            be read.
    """
    starts = find_pairs(task.frames, stride)
    if not starts:
        raise InputError(f"no two crops are {stride} source frames apart")
    target = Path(task.target)
    source = _fingerprint(stride, task, starts)
    mark = target / MARK_FILE
    if read_mark(mark) == source:
        return starts
    check_inside(target, task.out)
    target.mkdir(parents=True, exist_ok=True)
    for stale in (mark, *target.glob("*.png")):
        stale.unlink(missing_ok=True)
    crops = dict(zip(task.frames, task.crops))
    held: dict[int, Crop] = {}  # decoded crops that the current or a later flow needs
    for start in starts:
        for number in (start, start + stride):
            if number not in held:
                held[number] = _read_crop(crops[number])
        first, second = held[start], held[start + stride]
        if first.shape != second.shape:
            raise InputError(f"crops {start} and {start + stride} differ in size")
        if task.flo:
            flow = _read_flow(Path(task.flo, f"{start:06d}.flo"), first.shape[:2])
        else:
            flow = compute_flow(first, second)
        (target / f"{start:06d}.png").write_bytes(encode_flow(flow))
        held = {number: crop for number, crop in held.items() if number > start}
    with atomic_path(mark) as partial:
        partial.write_text(json.dumps(source))
    return starts


def add_flow(
    index: pd.DataFrame,
    out: Path,
    tasks: Sequence[FlowTask],
    done: dict[int, list[int]],
    stride: int,
) -> pd.DataFrame:
    """Returns the rows with flow and adds the columns `flow_dir flow_stride flow_indices`.

    Args:
        index: Rows of the tasks.
        out: Folder of the index with flow.
        tasks: Result of `make_tasks`.
        done: Source frames from which flow starts, by position of the task.
        stride: Number of source frames from the first to the second frame of each flow.
    """
    places = sorted(done)
    rows = index.iloc[places].reset_index(drop=True)
    folders = [Path(tasks[place].target).relative_to(out).as_posix() for place in places]
    return rows.assign(
        flow_dir=folders,
        flow_stride=np.int32(stride),
        flow_indices=pd.Series([done[place] for place in places], dtype=object),
    )


def _fingerprint(stride: int, task: FlowTask, starts: list[int]) -> dict[str, Any]:
    """Returns what the flow depends on; stored flow is reused if this is the same."""
    digest = hashlib.sha256()
    sources = task.crops + (
        [str(Path(task.flo, f"{n:06d}.flo")) for n in starts] if task.flo else []
    )
    for path in map(Path, sources):
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return {"stride": stride, "frames": starts, "flo": bool(task.flo), "source": digest.hexdigest()}


def _read_crop(path: str) -> Crop:
    try:
        data = read_bytes(path)
    except OSError as error:
        raise InputError(f"{Path(path).name}: {error.strerror}") from error
    image = decode_image(data)
    if image is None:
        raise InputError(f"{Path(path).name} is damaged")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _read_flow(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        flow = read_flo(path)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    if flow.shape[:2] != shape:
        raise InputError(
            f"{path.name} is {flow.shape[1]}x{flow.shape[0]}, but crops are {shape[1]}x{shape[0]}"
        )
    return flow
