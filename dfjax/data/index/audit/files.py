"""Checks that files exist, are complete and are unchanged since they were indexed."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax import REAL
from dfjax.console import track
from dfjax.data.index.audit.faces import has_crops
from dfjax.data.index.audit.findings import Evidence, Finding, Problem, make_finding, name_some
from dfjax.data.index.probing import probe_rows
from dfjax.data.index.source import find_source
from dfjax.data.store.pack_builder import frame_paths
from dfjax.errors import InputError
from dfjax.files import open_regular

PROBED = (
    "n_frames", "width", "height", "fps", "duration", "codec", "bitrate", "bytes", "sha256",
)  # fmt: skip
RESTORED = "restored"  # a column that only indices with a restored video have
MESSAGES = {
    "missing_file": ("error", "missing"),
    "unreadable_file": ("error", "not readable"),
    "truncated_file": ("error", "truncated"),
    "changed_file": ("warning", "changed since the index was made"),
    "left_out": ("warning", "left out when the index was made"),
}


def check_sources(
    index: pd.DataFrame, *, deep: bool, workers: int, time_limit: float
) -> tuple[pd.DataFrame, list[Problem]]:
    """Returns the index completed by probing, and the problems of source videos.

    Only videos without crops are checked, because training uses the crops of the others. A file is
    opened if it was never probed, or if its size differs from that in the index.

    Args:
        index: Index with one row per video.
        deep: Whether to open all files.
        workers: Number of processes that open videos.
        time_limit: Seconds per video, after which it counts as unreadable.
    """
    places = index["frames_dir"].isna() & index["path"].notna() & index["root"].notna()
    rows = index[places].to_dict("records")
    problems, doubtful = [], []
    for row in rows:
        size = _size(row)
        if size is None:
            problems.append(Problem("missing_file", row["video_id"], str(row["path"])))
        elif deep or pd.isna(row["bytes"]) or size != row["bytes"]:
            doubtful.append(row | {"size": size, "frames_dir": None})
    outcomes = probe_rows(doubtful, Path(), workers=workers, time_limit=time_limit)
    found: dict[str, dict[str, Any]] = {}
    for outcome in track(outcomes, total=len(doubtful), what="opening videos"):
        row = doubtful[outcome.position]
        problem = _judge(row, outcome.error, outcome.value)
        if problem:
            problems.append(problem)
        if outcome.error is None:
            found[row["video_id"]] = outcome.value
    return _complete(index, found), problems


def check_crops(index: pd.DataFrame, folder: Path) -> list[Problem]:
    """Returns the videos whose crops below `folder` are missing, empty or truncated."""
    rows = list(index[has_crops(index)].itertuples())

    def check(row: Any) -> Problem | None:
        for path in frame_paths(folder, row):
            code = _check_image(path)
            if code:
                return Problem(code, row.video_id, f"{row.frames_dir}/{path.name}")
        return None

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = track(threads.map(check, rows), total=len(rows), what="checking crops")
        return [problem for problem in results if problem]


def file_problems(evidence: Evidence) -> Iterable[Finding]:
    """Yields one finding for each kind of problem with files."""
    for code, (severity, what) in MESSAGES.items():
        found = [p for p in evidence.problems if p.code == code]
        if found:
            examples = name_some(f"{p.video_id} ({p.reason})" for p in found)
            message = f"{what}: {len(found)} videos, {examples}"
            yield make_finding(code, severity, message, (p.video_id for p in found))


def restored_files(evidence: Evidence) -> Iterable[Finding]:
    """Yields a finding about videos that are marked as restored by a model (`dfjax defake`)."""
    index = evidence.index
    if RESTORED not in index or not (marked := index[RESTORED].eq(True)).any():
        return
    ids = index.loc[marked, "video_id"].tolist()
    reals = int((index.loc[marked, "label"] == REAL).sum())
    message = (
        f"{len(ids)} videos are marked as restored by a model: {name_some(ids)}; {reals} of them "
        "are labelled real"
    )
    yield make_finding("restored_file", "error" if reals else "warning", message, ids)


def _judge(row: dict[str, Any], error: str | None, value: Any) -> Problem | None:
    shorter = pd.notna(row["bytes"]) and row["size"] < row["bytes"]
    if error is not None:
        cut = error.startswith("cut off") or shorter
        return Problem("truncated_file" if cut else "unreadable_file", row["video_id"], error)
    if shorter:
        reason = f"{row['size']} of {row['bytes']:.0f} bytes"
        return Problem("truncated_file", row["video_id"], reason)
    if pd.notna(row["sha256"]) and value["sha256"] != row["sha256"]:
        return Problem("changed_file", row["video_id"], "its hash differs from that in the index")
    return None


def _complete(index: pd.DataFrame, found: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Returns the index with nulls of the probed columns filled in."""
    if not found:
        return index
    probed = pd.DataFrame.from_dict(found, orient="index").reindex(index["video_id"])
    filled = {}
    for name in (*PROBED, *probed.columns.intersection([RESTORED])):
        new = pd.Series(probed[name].to_numpy(), index=index.index)
        filled[name] = index[name].where(index[name].notna(), new) if name in index else new
    return index.assign(**filled)


def _size(row: dict[str, Any]) -> int | None:
    """Returns the bytes of a row's file or of all images of its folder, or None if missing."""
    try:
        return sum(file.stat().st_size for file in find_source(row).files)
    except (InputError, OSError):
        return None


def _check_image(path: Path) -> str | None:
    """Returns the code of the problem with a JPEG or PNG file, from its first and last bytes."""
    try:
        with open_regular(path) as file:
            head = file.read(8)
            file.seek(-min(64, os.fstat(file.fileno()).st_size), os.SEEK_END)
            tail = file.read()
    except FileNotFoundError:
        return "missing_file"
    except OSError:
        return "unreadable_file"
    if not head:
        return "truncated_file"
    if head.startswith(b"\xff\xd8"):
        return None if tail.rstrip(b"\0").endswith(b"\xff\xd9") else "truncated_file"
    if head.startswith(b"\x89PNG"):
        return None if b"IEND" in tail else "truncated_file"
    return "unreadable_file"
