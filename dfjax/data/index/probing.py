"""Rows of the index completed by what their files are: frames, size, codec, hash."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.data.index.source import SOURCE, find_frames, find_source, probe_source


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
    tasks = [({name: row.get(name) for name in SOURCE}, str(folder)) for row in rows]
    return run_tasks(_probe, tasks, workers=workers, time_limit=time_limit)


def has_clean_name(path: str) -> bool:
    """Returns whether a path is text: Parquet and JSON cannot hold other file names."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _probe(task: tuple[dict[str, Any], str]) -> dict[str, Any]:
    row, folder = task
    own = row["frames_dir"] is None
    return probe_source(find_source(row) if own else find_frames(row, Path(folder)))._asdict()
