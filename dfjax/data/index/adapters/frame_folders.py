"""Describes videos that are folders of face crops and need no extraction."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from dfjax.data.faces.media_files import FRAME_SUFFIXES
from dfjax.data.index.adapters.walk import find_media

LARGEST = 2**31 - 1  # frame numbers are int32


def find_frame_folders(root: Path, apart: Iterable[Path] = ()) -> dict[str, list[str]]:
    """Returns a dict from each folder below `root` that directly holds images to their names.

    Keys are paths relative to `root`. Folders called `masks` or `landmarks` are skipped, because
    their images are not frames.

    Args:
        root: Folder to search.
        apart: Further folders that links must not lead to (see `walk.find_files`).
    """
    folders: dict[str, list[str]] = {}
    for file in find_media(root, apart):
        path = PurePosixPath(file)
        if path.suffix.lower() in FRAME_SUFFIXES and not {"masks", "landmarks"} & set(path.parts):
            folders.setdefault(str(path.parent), []).append(path.name)
    return folders


def describe_frames(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Returns the index columns of a video whose crops are the files `names` in `folder`.

    The last number in a file's name is the frame number, if these numbers are all different.
    Otherwise frames are numbered from 0 in the natural order of their names. Frame numbers ascend
    in both cases.

    Args:
        folder: Absolute path of the folder.
        names: Names of the files relative to `folder`, at least one.
    """
    files = sorted(names, key=_natural)
    numbers = [_number(name) for name in files]
    if any(n is None or n > LARGEST for n in numbers) or len(set(numbers)) < len(files):
        indices = list(range(len(files)))
    else:
        pairs = sorted(zip((n for n in numbers if n is not None), files))
        indices, files = [n for n, _ in pairs], [file for _, file in pairs]
    ours = [f"{index:06d}.jpg" for index in indices]
    return {
        "frames_dir": str(folder),
        "frame_indices": indices,
        "frame_names": None if files == ours else files,
    }


def _number(name: str) -> int | None:
    digits = re.findall(r"[0-9]{1,12}", PurePosixPath(name).stem)
    return int(digits[-1]) if digits else None


def _natural(name: str) -> list[tuple[int, str]]:
    """Returns a key that sorts 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", name)  # text and numbers alternate
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)]
