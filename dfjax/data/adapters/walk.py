"""The video and image files below a folder."""

import os
from pathlib import Path
from typing import NoReturn

from dfjax.data.video import is_media
from dfjax.errors import UsageError


def find_media(folder: Path) -> list[str]:
    """Returns the media files below `folder`, as sorted POSIX paths relative to it.

    Linked folders are followed, each real folder once, so that a loop of links ends. Hidden files
    are left out.

    Raises:
        UsageError: a folder cannot be listed.
    """
    found: list[str] = []
    seen = {_identity(folder)}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        folders[:] = sorted(name for name in folders if _first_visit(Path(parent, name), seen))
        base = Path(parent).relative_to(folder)
        found += [(base / name).as_posix() for name in files if is_media(name) and name[0] != "."]
    return sorted(found)


def _first_visit(folder: Path, seen: set[tuple[int, int]]) -> bool:
    key = _identity(folder)
    if folder.name.startswith(".") or key in seen:
        return False
    seen.add(key)
    return True


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(f"cannot list the folder {error.filename}: {error.strerror}")
