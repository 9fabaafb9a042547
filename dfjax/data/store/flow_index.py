"""Flow of all crops of an index: `OUT/flow/VIDEO_ID/%06d.png`, in parallel, resumable.

The file of frame n is the flow from n to n + stride, so its stride has to be that of the recipe:
between frames that are sampled together, not between neighbours of the source.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from dfjax.data.faces.extract import crops_folder
from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.data.store.flo_file import read_flo
from dfjax.data.store.flow import Crop, compute_flow, encode_flow
from dfjax.data.store.pack_builder import frame_paths
from dfjax.errors import InputError
from dfjax.files import atomic_path

MARK_FILE = "flow.json"  # beside the flow of a video: it is finished


class FlowTask(NamedTuple):
    """One video: its crop files by frame, and where its flow goes and comes from."""

    video_id: str
    frames: list[int]
    crops: list[str]
    target: str
    flo: str | None  # folder of its `.flo` files, None to compute it


def find_pairs(frames: Sequence[int], stride: int) -> list[int]:
    """Returns the frames n for which there is a frame n + stride."""
    there = set(frames)
    return [n for n in frames if n + stride in there]


def make_tasks(
    index: pd.DataFrame, folder: Path, out: Path, flo_root: Path | None
) -> list[FlowTask]:
    """Returns a task per row of an index after extraction.

    Args:
        index: the rows.
        folder: where the index file lies.
        out: of the command.
        flo_root: holds `VIDEO_ID/%06d.flo`, None to compute flow.

    Raises:
        UsageError: an id that would lead outside of `out`.
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
                target=str(out / "flow" / inside),
                flo=str(flo_root / inside) if flo_root else None,
            )
        )
    return tasks


def make_flows(
    tasks: Sequence[FlowTask], stride: int, *, workers: int, time_limit: float
) -> Iterator[Outcome]:
    """Yields, per task, the frames that have flow, or why it has none; what is done is reused."""
    function = functools.partial(make_flow, stride)
    return run_tasks(function, tasks, workers=workers, time_limit=time_limit)


def make_flow(stride: int, task: FlowTask) -> list[int]:
    """Writes the flow of one video and returns the frames that have one.

    Raises:
        InputError: no frames this far apart, or a crop or `.flo` file that cannot be read.
    """
    starts = find_pairs(task.frames, stride)
    if not starts:
        raise InputError(f"no two crops are {stride} source frames apart")
    target = Path(task.target)
    source = _fingerprint(stride, task, starts)
    mark = target / MARK_FILE
    if mark.is_file() and json.loads(mark.read_text()) == source:
        return starts
    target.mkdir(parents=True, exist_ok=True)
    for stale in (mark, *target.glob("*.png")):
        stale.unlink(missing_ok=True)
    crops = dict(zip(task.frames, task.crops))
    held: dict[int, Crop] = {}  # crops from the current start on, to the one flow leads to
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
    """Returns the rows whose flow is done, with the columns that say where it is.

    Args:
        index: rows of the tasks.
        out: where the new index will lie.
        tasks: from `make_tasks`.
        done: frames that have flow, by position.
        stride: source frames from one frame of a flow to the other.
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
    """What the stored flow was made from: that it is as before makes it reusable."""
    digest = hashlib.sha256()
    sources = task.crops + (
        [str(Path(task.flo, f"{n:06d}.flo")) for n in starts] if task.flo else []
    )
    for path in map(Path, sources):
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return {"stride": stride, "frames": starts, "flo": bool(task.flo), "source": digest.hexdigest()}


def _read_crop(path: str) -> Crop:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{Path(path).name}: {error.strerror}") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
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
            f"{path.name} is {flow.shape[1]}x{flow.shape[0]}, the crops {shape[1]}x{shape[0]}"
        )
    return flow
