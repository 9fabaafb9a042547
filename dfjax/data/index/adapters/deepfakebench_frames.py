"""Finds the frames that a JSON file of DeepfakeBench names, in a folder tree or in LMDB files.

The JSON files write paths with forward or backward slashes, relative to `datasets/rgb`, to the
checkout, or to a folder of another machine. The longest tail of a path that exists below the root
is used. Nothing outside of the root is read.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from dfjax.data.index.adapters.foreign import safe_path
from dfjax.data.index.adapters.frame_folders import describe_frames
from dfjax.data.index.adapters.lmdb_file import LmdbFile
from dfjax.errors import InputError
from dfjax.files import atomic_path

BASES = ("", "rgb", "datasets", "datasets/rgb")
SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}


class FrameFinder:
    """Finds the frames of videos below a root and writes frames from LMDB files to disk.

    Attributes:
        out: Folder of the index, below which frames from LMDB files are written.
    """

    def __init__(self, root: Path, out: Path) -> None:
        """Prepares a search below `root`."""
        self._root, self.out = root.resolve(), out
        self._stores: dict[str, LmdbFile | None] = {}
        self._folders: dict[Path, frozenset[str]] = {}

    def find(
        self, video_id: str, dataset: str, frames: Sequence[Any]
    ) -> tuple[dict[str, Any], int]:
        """Returns the index columns of a video's frames, and the number of missing frames.

        Args:
            video_id: The video in the index.
            dataset: Name of the data set in DeepfakeBench, which also names its LMDB file.
            frames: Paths of the frames as written in the JSON file.

        Raises:
            InputError: The list is empty or damaged, or a path leads outside of the root.
            FileNotFoundError: None of the frames exists.
        """
        paths = [self._clean(frame) for frame in frames]
        if not paths:
            raise InputError("has no frames")
        files = self._find_files(paths)
        if files:
            folder = files[0].parent
            names = [
                file.relative_to(folder).as_posix() for file in files if folder in file.parents
            ]
            return describe_frames(folder, names), len(paths) - len(names)
        store = self._open(dataset)
        found = list(_read(store, dataset, paths)) if store is not None else []
        if not found:
            raise FileNotFoundError(f"none of its {len(paths)} frames exists")
        return self._write(video_id, found), len(paths) - len(found)

    def _clean(self, frame: Any) -> str:
        text = str(frame).replace("\\", "/")
        if isinstance(frame, str) and (text.startswith("/") or re.match(r"[A-Za-z]:/", text)):
            parts = text.removeprefix(f"{self._root.as_posix()}/").split("/")
            path = safe_path("/".join(part for part in parts if part))
            if not self._find_tail(path):
                raise InputError(f"{frame!r} leads outside of the data set")
            return "/".join(part for part in path.split("/") if ":" not in part)
        return safe_path(frame)

    def _find_files(self, paths: list[str]) -> list[Path]:
        first = next((tail for p in paths if (tail := self._find_tail(p))), None)
        if first is None:
            return []
        base, dropped = first
        inner = [path.split("/")[dropped:] for path in paths]
        files = [base.joinpath(*parts) for parts in inner if parts]
        return [file for file in files if file.name in self._list(file.parent)]

    def _find_tail(self, path: str) -> tuple[Path, int] | None:
        """Returns a folder and a number of leading parts to drop so that the path exists."""
        parts = path.split("/")
        for dropped in range(len(parts) - 1):
            for base in (self._root / name for name in BASES):
                file = base.joinpath(*parts[dropped:])
                if file.name in self._list(file.parent):
                    return base, dropped
        return None

    def _list(self, folder: Path) -> frozenset[str]:
        if folder not in self._folders:
            if len(self._folders) > 1000:
                self._folders.clear()
            names = (p.name for p in folder.iterdir()) if folder.is_dir() else ()
            self._folders[folder] = frozenset(names)
        return self._folders[folder]

    def _open(self, dataset: str) -> LmdbFile | None:
        if dataset not in self._stores:
            name = safe_path(f"{dataset}_lmdb")
            places = [self._root / base / name for base in ("", "lmdb", "datasets/lmdb")]
            place = next((place for place in places if place.exists()), None)
            self._stores[dataset] = None if place is None else LmdbFile(place)
        return self._stores[dataset]

    def _write(self, video_id: str, found: list[tuple[str, bytes]]) -> dict[str, Any]:
        folder = self.out / "frames" / safe_path(video_id)
        names = {}
        for path, data in found:
            suffix = next((s for head, s in SUFFIXES.items() if data.startswith(head)), None)
            if suffix is None:
                raise InputError(f"{path} in the LMDB file is not a PNG or JPEG image")
            names[PurePosixPath(path).with_suffix(suffix).name] = data
        for name, data in names.items():
            with atomic_path(folder / name) as partial:
                partial.write_bytes(data)
        return describe_frames(folder, names) | {
            "frames_dir": folder.relative_to(self.out).as_posix()
        }


def _read(store: LmdbFile, dataset: str, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        data = next((d for k in _keys(dataset, path) if (d := store.get(k))), None)
        if data:
            yield path, data


def _keys(dataset: str, path: str) -> Iterator[bytes]:
    """Yields the possible keys of a frame: with or without the data set, with either slash."""
    parts = path.split("/")
    after = parts.index(dataset) + 1 if dataset in parts else 0
    rest = parts[after:]
    for key in (
        "\\".join([dataset, *rest]),
        dataset + "\\" + "/".join(rest),
        "/".join([dataset, *rest]),
        "\\".join(rest),
        "/".join(rest),
    ):
        data = key.encode(errors="surrogateescape")
        if len(data) <= 511:  # LMDB's limit
            yield data
