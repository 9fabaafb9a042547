"""The video and image files below a folder."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from dfjax.data.faces.video import is_media
from dfjax.errors import UsageError


def find_media(folder: Path, apart: Iterable[Path] = ()) -> list[str]:
    """Returns the media files below `folder`, as sorted POSIX paths relative to it.

    Args:
        folder: where to look.
        apart: as in `find_files`.

    Raises:
        UsageError: a folder cannot be listed.
    """
    return find_files(folder, is_media, apart)


def find_files(
    folder: Path, wanted: Callable[[str], bool], apart: Iterable[Path] = ()
) -> list[str]:
    """Returns the files below `folder` whose name is wanted, as sorted relative POSIX paths.

    Links to folders elsewhere are followed, each real folder once. Links back into `folder` are
    not: its files are found in their own place. Nor are links to a folder above one that was come
    through: that would list the other class under this one's name. Hidden files are left out.

    Args:
        folder: where to look.
        wanted: whether a file of this name counts.
        apart: further folders that links must not lead into or above.

    Raises:
        UsageError: a folder cannot be listed.
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
    """Returns the folder in `root` that has one of these names in any case, or None."""
    wanted = {name.casefold() for name in names}
    found = sorted(p for p in root.iterdir() if p.name.casefold() in wanted and p.is_dir())
    return found[0] if found else None


def file_key(path: str) -> str:
    """Returns what equal files of differently kept copies share: no case, no `videos/` level."""
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
    """Returns whether a link leads to one of these folders, above it, or into it."""
    target = os.path.realpath(link)
    return any(os.path.commonpath((target, place)) in (target, place) for place in places)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(f"cannot list the folder {error.filename}: {error.strerror}")
