"""Rows of the index completed by what their files are: frames, size, codec, hash."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dfjax.data.video import probe
from dfjax.data.worker_pool import Outcome, run_tasks


def probe_rows(
    rows: Sequence[dict[str, Any]], *, workers: int, time_limit: float
) -> Iterator[Outcome]:
    """Yields, per row, the columns of the video or the reason why it cannot be read."""
    files = [str(Path(row["root"], row["path"])) for row in rows]
    return run_tasks(probe_file, files, workers=workers, time_limit=time_limit)


def probe_file(path: str) -> dict[str, Any]:
    """Returns the video columns of a file.

    Raises:
        InputError: the file cannot be read.
    """
    return probe(path)._asdict()


def has_clean_name(path: str) -> bool:
    """Returns whether a path is text: Parquet and JSON cannot hold other file names."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
