"""Rows of the index completed by what their files are: frames, size, codec, hash."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.data.video import VideoInfo, probe
from dfjax.data.worker_pool import Outcome, run_tasks
from dfjax.errors import InputError


class _Source(NamedTuple):
    """What to probe: one file, or the face crops of a video in order."""

    files: tuple[Path, ...]
    is_frames: bool


def probe_rows(
    rows: Sequence[dict[str, Any]], folder: Path, *, workers: int, time_limit: float
) -> Iterator[Outcome]:
    """Yields, per row, the columns of the video or the reason why it cannot be read.

    Args:
        rows: of an index; those with a `frames_dir` are videos that came as face crops.
        folder: where the index will lie.
        workers: processes.
        time_limit: seconds a video.
    """
    sources = [_find_source(row, folder) for row in rows]
    return run_tasks(probe_source, sources, workers=workers, time_limit=time_limit)


def probe_source(source: _Source) -> dict[str, Any]:
    """Returns the video columns of a file, or of face crops; every file is read for the hash.

    Raises:
        InputError: the file, or every crop, cannot be read.
    """
    if not source.is_frames:
        return probe(source.files[0])._asdict()
    info = _probe_first(source.files)
    digest, size = hashlib.sha256(), 0
    for file in source.files:
        if file.is_file():  # a missing crop is for `data pack` to list
            data = file.read_bytes()
            size += len(data)
            digest.update(data)
    known = {"n_frames": len(source.files), "bytes": size, "sha256": digest.hexdigest()}
    return info._asdict() | known


def _probe_first(files: tuple[Path, ...]) -> VideoInfo:
    """Returns what the first crop is that can be read."""
    for file in files[:-1]:
        try:
            return probe(file)
        except InputError:
            continue  # `data pack` lists it
    return probe(files[-1])


def has_clean_name(path: str) -> bool:
    """Returns whether a path is text: Parquet and JSON cannot hold other file names."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_source(row: dict[str, Any], folder: Path) -> _Source:
    if row["frames_dir"] is None:
        return _Source((Path(row["root"], row["path"]),), False)
    names = row.get("frame_names") or [f"{index:06d}.jpg" for index in row["frame_indices"]]
    return _Source(tuple(folder / row["frames_dir"] / name for name in names), True)
