"""Whether files are what they were: shards against checksums, videos and crops against an index."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfjax.console import track
from dfjax.data.faces.crop_check import check_frames
from dfjax.data.index.records import find_index, read_index
from dfjax.data.index.source import find_source, hash_files
from dfjax.data.store.pack_reader import MANIFEST, read_manifest
from dfjax.errors import InputError, UsageError


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """How many files (or videos' crops) were checked, and the damaged ones.

    Attributes:
        checked: Number of checks.
        damaged: Entries `{"video_id", "path", "error"}`.
    """

    checked: int
    damaged: list[dict[str, str]]


class Check(NamedTuple):
    """One file (or one video's crops) that was looked at; `errors` is empty when it is good."""

    path: str
    video_id: str
    errors: list[str]


Work = Callable[[], Check]


def verify_pack(pack: str | os.PathLike[str], *, threads: int | None = None) -> VerifyReport:
    """Compares the files of a pack with their checksums and lists those that differ.

    Args:
        pack: Folder of the pack.
        threads: Number of threads; None takes the number of cores.

    Raises:
        UsageError: not a pack.
    """
    return _run(list_pack_checks(Path(pack)), threads)


def verify_index(path: str | os.PathLike[str], *, threads: int | None = None) -> VerifyReport:
    """Checks the videos and crops of an index, or the pack that it belongs to.

    Args:
        path: Index file, or the folder that holds it.
        threads: Number of threads; None takes the number of cores.

    Raises:
        UsageError: no index, or one that names nothing to check.
    """
    index = find_index(path)
    if (index.parent / MANIFEST).is_file():
        return verify_pack(index.parent, threads=threads)
    return _run(list_index_checks(read_index(index), index.parent), threads)


def _run(work: list["Work"], threads: int | None) -> VerifyReport:
    threads = (os.cpu_count() or 1) if threads is None else threads
    if threads < 1:
        raise UsageError(f"threads must be positive, not {threads}")
    checks = track(run_checks(work, threads=threads), total=len(work), what="checking")
    damaged = [
        {"video_id": video_id, "path": path, "error": error}
        for path, video_id, errors in checks
        for error in errors
    ]
    return VerifyReport(len(work), damaged)


def list_pack_checks(pack: Path) -> list[Work]:
    """Returns a check per file of a pack, and one per file that does not belong to it.

    Raises:
        UsageError: not a pack, or its list of files is damaged.
    """
    if not pack.is_dir():
        raise UsageError(f"no pack at {pack}; `dfjax data pack` makes one")
    files = read_manifest(pack).get("files")
    if not isinstance(files, dict) or not files:
        raise UsageError(f"{pack / MANIFEST} lists no files; pack again")
    work: list[Work] = [
        _make_hash_check(functools.partial(_list_one, pack / name), name, "", digest)
        if Path(name).name == name
        else _make_answer(name, "is listed, but is no file of this folder")
        for name, digest in files.items()
    ]
    strange = sorted({p.name for p in pack.iterdir()} - files.keys() - {MANIFEST})
    return work + [_make_answer(name, "was not packed with the others") for name in strange]


def list_index_checks(index: pd.DataFrame, folder: Path) -> list[Work]:
    """Returns a check per source video with a known hash, and one per video with crops.

    Args:
        index: the rows.
        folder: where the index file lies.

    Raises:
        UsageError: the index knows neither hashes nor crops, so that there is nothing to check.
    """
    work: list[Work] = []
    for row in index.itertuples():
        if isinstance(row.sha256, str) and isinstance(row.path, str):
            work.append(_make_source_check(row))
        if isinstance(row.frames_dir, str):
            work.append(_make_crop_check(row, folder))
    if not work:
        raise UsageError("the index knows neither hashes nor crops: nothing can be verified")
    return work


def run_checks(work: list[Work], *, threads: int) -> Iterator[Check]:
    """Yields the checks' results in their order; hashing and decoding leave Python's lock."""
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda check: check(), work)


def _list_one(path: Path) -> Sequence[Path]:
    return [path]


def _make_hash_check(
    find: Callable[[], Sequence[Path]], shown: str, video_id: str, digest: str
) -> Work:
    def check() -> Check:
        try:
            found = hash_files(find())
        except OSError as error:
            return Check(shown, video_id, [error.strerror or str(error)])
        except InputError as error:
            return Check(shown, video_id, [str(error)])
        return Check(shown, video_id, [] if found == digest else ["its content has changed"])

    return check


def _make_source_check(row: Any) -> Work:
    fields = row._asdict() | {"root": row.root if isinstance(row.root, str) else ""}
    shown = str(Path(fields["root"], row.path))
    return _make_hash_check(lambda: find_source(fields).files, shown, row.video_id, row.sha256)


def _make_crop_check(row: Any, folder: Path) -> Work:
    return lambda: Check(str(row.frames_dir), row.video_id, check_frames(row, folder))


def _make_answer(name: str, error: str) -> Work:
    return lambda: Check(name, "", [error])
