"""Verifies that the files of a pack or of an index have not changed and can be read."""

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
from dfjax.results import Result


@dataclasses.dataclass(frozen=True)
class VerifyReport(Result):
    """Result of a verification.

    Attributes:
        path: Folder of the pack, or the index.
        checked: Number of checks, one per file or per video with crops.
        damaged: Entries `{"video_id", "path", "error"}` of damaged files.
    """

    path: Path
    checked: int
    damaged: list[dict[str, str]]

    in_json = ("checked", "damaged")

    def describe(self) -> list[str]:
        """Returns a line that counts the checks and the damaged files."""
        return [f"{self.path}: {self.checked} checked, {len(self.damaged)} damaged"]

    def list_errors(self) -> list[str]:
        """Returns a line for each damaged file."""
        return [f"{entry['path']}: {entry['error']}" for entry in self.damaged]


class Check(NamedTuple):
    """Result of checking one file, or the crops of one video.

    Attributes:
        path: Path to report.
        video_id: Id of the video, empty for files of a pack.
        errors: Errors that were found.
    """

    path: str
    video_id: str
    errors: list[str]


Work = Callable[[], Check]


def verify_pack(pack: str | os.PathLike[str], *, threads: int | None = None) -> VerifyReport:
    """Compares the files of a pack or a feature pack with their checksums.

    Args:
        pack: Folder of the pack.
        threads: Number of threads; None is the number of cores.

    Raises:
        UsageError: The folder is not a complete pack, or `threads` is not positive.
    """
    return _run(Path(pack), list_pack_checks(Path(pack)), threads)


def verify_index(path: str | os.PathLike[str], *, threads: int | None = None) -> VerifyReport:
    """Compares videos with their hashes in the index and decodes its crops.

    If the index belongs to a pack, the result is that of `verify_pack`.

    Args:
        path: Index file, or the folder it is in.
        threads: Number of threads; None is the number of cores.

    Raises:
        UsageError: There is no index, it has neither hashes nor crops, or `threads` is not
            positive.
    """
    index = find_index(path)
    if (index.parent / MANIFEST).is_file():
        return verify_pack(index.parent, threads=threads)
    return _run(index, list_index_checks(read_index(index), index.parent), threads)


def _run(path: Path, work: list["Work"], threads: int | None) -> VerifyReport:
    threads = (os.cpu_count() or 1) if threads is None else threads
    if threads < 1:
        raise UsageError(f"threads must be positive, not {threads}")
    checks = track(run_checks(work, threads=threads), total=len(work), what="checking")
    damaged = [
        {"video_id": video_id, "path": path, "error": error}
        for path, video_id, errors in checks
        for error in errors
    ]
    return VerifyReport(path, len(work), damaged)


def list_pack_checks(pack: Path) -> list[Work]:
    """Returns a check per file of a pack, including files that its manifest does not list.

    Args:
        pack: Folder of the pack.

    Raises:
        UsageError: The folder is not a complete pack, or its manifest lists no files.
    """
    if not pack.is_dir():
        raise UsageError(f"no pack at {pack}; `dfjax data pack` makes one")
    files = read_manifest(pack).get("files")
    if not isinstance(files, dict) or not files:
        raise UsageError(f"{pack / MANIFEST} lists no files; pack again")
    work: list[Work] = [
        _make_hash_check(functools.partial(_list_one, pack / name), name, "", digest)
        if Path(name).name == name
        else _make_failure(name, "is listed in the manifest, but is not in this folder")
        for name, digest in files.items()
    ]
    unlisted = sorted({p.name for p in pack.iterdir()} - files.keys() - {MANIFEST})
    return work + [_make_failure(name, "is not listed in the manifest") for name in unlisted]


def list_index_checks(index: pd.DataFrame, folder: Path) -> list[Work]:
    """Returns a check per source video with a known hash, and one per video with crops.

    Args:
        index: Index to verify.
        folder: Folder of the index file.

    Raises:
        UsageError: The index has neither hashes nor crops.
    """
    work: list[Work] = []
    for row in index.itertuples():
        if isinstance(row.sha256, str) and isinstance(row.path, str):
            work.append(_make_source_check(row))
        if isinstance(row.frames_dir, str):
            work.append(_make_crop_check(row, folder))
    if not work:
        raise UsageError("the index has neither hashes nor crops, so there is nothing to verify")
    return work


def run_checks(work: list[Work], *, threads: int) -> Iterator[Check]:
    """Yields the results of checks in their order; hashing and decoding release the GIL.

    Args:
        work: Functions that check one file or one video.
        threads: Number of threads.
    """
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


def _make_failure(name: str, error: str) -> Work:
    return lambda: Check(name, "", [error])
