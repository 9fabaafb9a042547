"""Finds the video and image files below a folder."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from dfjax.data.faces.media_files import is_media
from dfjax.errors import UsageError


def find_media(folder: Path, apart: Iterable[Path] = ()) -> list[str]:
    """Returns the media files below `folder`, as sorted POSIX paths relative to it.

    Args:
        folder: Folder to search.
        apart: Further folders that links must not lead to (see `find_files`).

    Raises:
        UsageError: A folder cannot be listed.
    """
    return find_files(folder, is_media, apart)


def find_files(
    folder: Path, wanted: Callable[[str], bool], apart: Iterable[Path] = ()
) -> list[str]:
    """Returns the files below `folder` whose name is wanted, as sorted relative POSIX paths.

    Links to folders outside of `folder` are followed, and each folder is visited once. Links to
    folders inside of `folder` are not followed, because their files are found in their own place.
    Links to a parent of `folder` or of a folder on the way are not followed either: they would list
    the files of the other class under the name of this one. Hidden files and folders are skipped.

    Args:
        folder: Folder to search.
        wanted: Function from a file name to whether the file is included.
        apart: Further folders; links to them, into them or above them are not followed.

    Raises:
        UsageError: A folder cannot be listed.
    """
    found: list[str] = []
    kept = [os.path.realpath(place) for place in (folder, *apart)]
    seen = {_identity(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        places = [*kept, os.path.realpath(parent)]
        folders[:] = sorted(n for n in folders if _first_visit(Path(parent, n), seen, places))
        base = Path(parent).relative_to(folder).as_posix()
        prefix = "" if base == "." else f"{base}/"
        found += [prefix + name for name in files if name[0] != "." and wanted(name)]
    return sorted(found)


def find_folder(root: Path, *names: str) -> Path | None:
    """Returns the folder in `root` with one of these names, ignoring case, or None."""
    wanted = {name.casefold() for name in names}
    found = sorted(p for p in root.iterdir() if p.name.casefold() in wanted and p.is_dir())
    return found[0] if found else None


def file_key(path: str) -> str:
    """Returns a key for a file's path that ignores case and a level `videos/`.

    Copies of one data set may differ in both.
    """
    return "/".join(part for part in path.casefold().split("/") if part != "videos")


def _first_visit(folder: Path, seen: set[tuple[int, int]], places: list[str]) -> bool:
    if folder.name.startswith(".") or (folder.is_symlink() and _leads_back(folder, places)):
        return False
    key = _identity(folder)
    if key in seen:
        return False
    seen.add(key)
    return True


def _leads_back(link: Path, places: list[str]) -> bool:
    """Returns whether a link leads to one of these folders, into it, or to a parent of it."""
    target = os.path.realpath(link)
    return any(os.path.commonpath((target, place)) in (target, place) for place in places)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(f"cannot list the folder {error.filename}: {error.strerror}")
