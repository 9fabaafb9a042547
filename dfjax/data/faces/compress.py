"""Re-encodes videos by x264, to equalise classes or to test robustness against compression.

All frames and their times are kept; sound is removed. An image becomes a video of one frame. Sides
are cropped to even numbers, as 4:2:0 requires, and the rotation in a file's metadata is applied.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pandas as pd

from dfjax.console import track
from dfjax.data.faces.extract import crops_folder
from dfjax.data.faces.media_files import is_image
from dfjax.data.faces.video import Frame, iterate_frames, iterate_timed_frames, probe
from dfjax.data.faces.worker_pool import check_limits, run_tasks
from dfjax.data.index.error_log import ErrorLog
from dfjax.data.index.records import OPTIONAL, find_index, read_index, write_index
from dfjax.data.index.source import list_paths
from dfjax.errors import InputError, UsageError
from dfjax.files import atomic_path, remove_partial
from dfjax.json_files import read_mark
from dfjax.outputs import check_folder, check_inside, check_outputs, mark_folder
from dfjax.results import Result

CLOCK = Fraction(1, 90_000)  # time base: exact for 24, 25, 30 and 60 frames per second
PRESET = "medium"

Fields = dict[str, Any]

_PROBED = ("n_frames", "width", "height", "fps", "duration", "codec", "bitrate", "bytes", "sha256")
MARK = {"made_from": {str: object}, **dict.fromkeys(_PROBED, (float, str, None))}
"""Schema of the file beside a compressed video: its properties, and what it was made from."""
_DROPPED = ("frames_dir", "frame_indices", "boxes", "landmarks", "face_found", "quality")


@dataclasses.dataclass(frozen=True)
class CompressReport(Result):
    """Summary of a re-encoded data set.

    Attributes:
        index: Index file.
        crf: Constant rate factor of the videos.
        videos: Number of rows.
        bytes: Size of all videos in bytes.
        unreadable: Number of videos that were left out.
        errors: File that lists these.
    """

    index: Path
    crf: int
    videos: int
    bytes: int
    unreadable: int
    errors: Path

    in_json = ("index", "videos", "bytes", "unreadable")

    def describe(self) -> list[str]:
        """Returns a line that counts the videos and their bytes."""
        size = f"{self.bytes / 1e6:.1f} MB"
        return [f"{self.index.parent}: {self.videos} videos at CRF {self.crf}, {size}"]

    def list_errors(self) -> list[str]:
        """Returns a line that counts the videos that were left out."""
        n = self.unreadable
        return [f"{n} videos could not be read and were left out: {self.errors}"] if n else []


def compress_index(
    index: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    crf: int,
    workers: int | None = None,
    time_limit: float = 3600.0,
    command: str = "dfjax data compress",
) -> CompressReport:
    """Re-encodes the videos of an index and writes their index.

    `out` gets `videos/VIDEO_ID.mp4`, `index.parquet`, and `errors.jsonl` with the videos that
    cannot be read. Videos that `out` already holds are kept, so that repeating an interrupted call
    resumes it.

    Args:
        index: Index of videos.
        out: Folder to write.
        crf: Constant rate factor, 0 (lossless) to 51; FaceForensics++ uses 23 and 40.
        workers: Number of processes; None is the number of cores.
        time_limit: Seconds per video, after which it counts as unreadable.
        command: Command to record in the metadata of the index.

    Raises:
        UsageError: An argument is out of range, an id cannot name a file, or no video can be
            encoded.
    """
    if not 0 <= crf <= 51:
        raise UsageError(f"crf must be 0 to 51, not {crf}")
    workers = check_limits(workers, time_limit)
    table, out = read_index(index), Path(out)
    target = out / "index.parquet"
    check_outputs([target, out / "errors.jsonl"], inputs=[find_index(index)])
    check_folder(out / "videos", inputs=list_paths(table), owner=target)
    for video_id in table["video_id"]:
        video_path(out, video_id)
    rows = table[["video_id", "root", "path", "sha256"]].astype(object)
    tasks = rows.where(rows.notna(), None).to_dict("records")
    mark_folder(out / "videos")
    log, results = ErrorLog(out / "errors.jsonl"), {}
    function = functools.partial(compress_record, str(out), crf)
    outcomes = run_tasks(function, tasks, workers=workers, time_limit=time_limit)
    for position, fields, error in track(outcomes, total=len(tasks), what="videos"):
        if error is None:
            results[position] = fields
        else:
            task = tasks[position]
            path, video_id = str(task["path"]), task["video_id"]
            log.add(video_id=video_id, path=path, stage="compress", error=error)
    if not results:
        raise UsageError(
            f"none of the {len(tasks)} videos can be compressed{log.describe()}; see {log.path}"
        )
    made = make_compressed_index(table, out, crf, results)
    write_index(made, target, command=command)
    size = int(made["bytes"].sum())
    return CompressReport(target, crf, len(made), size, log.count, log.path)


def compress_video(source: Path, target: Path, *, crf: int) -> None:
    """Writes a video as H.264 at a constant rate factor, atomically.

    Args:
        source: Video or image to read.
        target: `.mp4` file to write.
        crf: Constant rate factor, 0 (lossless) to 51; FaceForensics++ uses 23 and 40.

    Raises:
        InputError: The source cannot be read.
        OSError: The disk is full.
    """
    options = {"crf": str(crf), "preset": PRESET, "threads": "1"}  # one process per core encodes
    frames = _read_frames(source)
    first, start = next(frames)
    height, width = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2
    if not height or not width:
        raise InputError(f"{first.shape[1]}x{first.shape[0]} is too small for 4:2:0 video")
    with atomic_path(target) as partial, av.open(os.path.abspath(partial), "w") as container:
        stream = container.add_stream("libx264", options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = CLOCK
        last = -1
        for image, seconds in _chain(first, start, frames):
            if image.shape != first.shape:
                raise InputError("its frames differ in size")
            frame = av.VideoFrame.from_ndarray(image[:height, :width].copy(), format="rgb24")
            last = max(round((seconds - start) / CLOCK), last + 1)  # times must increase
            frame.pts, frame.time_base = last, CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def compress_record(out: str, crf: int, task: Fields) -> Fields:
    """Compresses one video of an index, unless `out` already holds it; returns its new columns.

    Args:
        out: Folder to write.
        crf: Constant rate factor.
        task: Columns `video_id`, `root`, `path` and `sha256` of the row.

    Raises:
        InputError: The video cannot be read, or has changed since it was indexed.
    """
    if task["path"] is None:
        raise InputError("the index names no file of this video")
    source = Path(task["root"] or "", task["path"])
    info = probe(source)
    if task["sha256"] not in (None, info.sha256):
        raise InputError("the file has changed since it was indexed: run `dfjax data index` again")
    target = video_path(Path(out), task["video_id"])
    mark = target.with_suffix(".json")
    made_from = {"sha256": info.sha256, "crf": crf}
    fields = read_mark(mark, MARK) if target.is_file() else None
    if fields and fields.pop("made_from") == made_from:
        return fields
    check_inside(target.parent, out)
    mark.unlink(missing_ok=True)
    remove_partial(target)
    compress_video(source, target, crf=crf)
    fields = probe(target)._asdict()
    with atomic_path(mark) as partial:
        partial.write_text(json.dumps(fields | {"made_from": made_from}))
    return fields


def video_path(out: Path, video_id: str) -> Path:
    """Returns the path of a compressed video, `OUT/videos/VIDEO_ID.mp4`.

    Args:
        out: Folder of the compressed videos.
        video_id: Id of the video.

    Raises:
        UsageError: The id leads outside of `out`.
    """
    inside = crops_folder(Path(), video_id).relative_to("crops")
    return out / "videos" / inside.parent / f"{inside.name}.mp4"


def make_compressed_index(
    index: pd.DataFrame, out: Path, crf: int, results: dict[int, Fields]
) -> pd.DataFrame:
    """Returns the rows of the compressed videos with their new properties, without crops.

    Args:
        index: Index of the original videos.
        out: Folder of the compressed videos.
        crf: Constant rate factor, for the column `compression`.
        results: New columns by position in the index.
    """
    places = sorted(results)
    rows = index.iloc[places].reset_index(drop=True)
    rows = rows.drop(columns=rows.columns.intersection(OPTIONAL.names))
    rows = rows.assign(**dict.fromkeys(_DROPPED, None))
    columns = {name: [results[place][name] for place in places] for name in _PROBED}
    root = out.resolve()
    paths = [
        video_path(root, video_id).relative_to(root).as_posix() for video_id in rows["video_id"]
    ]
    return rows.assign(**columns, root=str(root), path=paths, compression=f"crf{crf}")


def _read_frames(source: Path) -> Iterator[tuple[Frame, Fraction]]:
    """Yields the frames of a video with their times, or an image as a single frame."""
    if is_image(source):
        yield from ((image, Fraction(0)) for image in iterate_frames(source, [0]))
    else:
        yield from iterate_timed_frames(source)


def _chain(
    first: Frame, start: Fraction, others: Iterator[tuple[Frame, Fraction]]
) -> Iterator[tuple[Frame, Fraction]]:
    yield first, start
    yield from others
