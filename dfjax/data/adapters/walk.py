"""The video and image files below a folder."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from dfjax.data.video import is_media
from dfjax.errors import UsageError


def find_media(folder: Path) -> list[str]:
    """Returns the media files below `folder`, as sorted POSIX paths relative to it.

    Raises:
        UsageError: a folder cannot be listed.
    """
    return find_files(folder, is_media)


def find_files(folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Returns the files below `folder` whose name is wanted, as sorted relative POSIX paths.

    Linked folders are followed, each real folder once, so that a loop of links ends. Hidden files
    are left out.

    Raises:
        UsageError: a folder cannot be listed.
    """
    found: list[str] = []
    seen = {_identity(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        folders[:] = sorted(name for name in folders if _first_visit(Path(parent, name), seen))
        base = Path(parent).relative_to(folder).as_posix()
        prefix = "" if base == "." else f"{base}/"
        found += [prefix + name for name in files if name[0] != "." and wanted(name)]
    return sorted(found)


def find_folder(root: Path, *names: str) -> Path | None:
    """Returns the folder in `root` that has one of these names in any case, or None."""
    wanted = {name.casefold() for name in names}
    found = sorted(p for p in root.iterdir() if p.name.casefold() in wanted and p.is_dir())
    return found[0] if found else None


def file_key(path: str) -> str:
    """Returns what equal files of differently kept copies share: no case, no `videos/` level."""
    return "/".join(part for part in path.casefold().split("/") if part != "videos")


def _first_visit(folder: Path, seen: set[tuple[int, int]]) -> bool:
    if folder.name.startswith("."):
        return False
    key = _identity(folder)
    if key in seen:
        return False
    seen.add(key)
    return True


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(f"cannot list the folder {error.filename}: {error.strerror}")
