"""Probes the files of an index for their numbers of frames, sizes, codecs and hashes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dfjax.data.faces.marks import is_restored
from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.data.index.source import SOURCE, find_frames, find_source, probe_source


def probe_rows(
    rows: Sequence[dict[str, Any]], folder: Path, *, workers: int, time_limit: float
) -> Iterator[Outcome]:
    """Yields for each row the columns of its video, or the reason why it cannot be read.

    The column `restored` is there if the video is marked as restored by a model (`faces/marks.py`).

    Args:
        rows: Rows of an index. Those with a `frames_dir` are videos that came as face crops.
        folder: Folder of the index.
        workers: Number of processes.
        time_limit: Seconds allowed per video.
    """
    tasks = [({name: row.get(name) for name in SOURCE}, str(folder)) for row in rows]
    return run_tasks(_probe, tasks, workers=workers, time_limit=time_limit)


def has_clean_name(path: str) -> bool:
    """Returns whether a path is valid Unicode, which Parquet and JSON require."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _probe(task: tuple[dict[str, Any], str]) -> dict[str, Any]:
    row, folder = task
    own = row["frames_dir"] is None
    source = find_source(row) if own else find_frames(row, Path(folder))
    marked = {"restored": True} if is_restored(source.files[0]) else {}
    return probe_source(source)._asdict() | marked
