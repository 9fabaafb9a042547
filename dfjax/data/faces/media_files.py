"""The names of video and image files."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from dfjax.console import say

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".3gp"),
)
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
"""Suffixes of the images in a folder that is a video."""

IMAGE_SUFFIXES = (*FRAME_SUFFIXES, ".gif", ".webp", ".avif")
MOST_SUFFIXES = 8  # shown in a note


def is_media(path: str | os.PathLike[str]) -> bool:
    """Returns whether the file name has the suffix of a video or an image."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES + IMAGE_SUFFIXES


def is_video(path: str | os.PathLike[str]) -> bool:
    """Returns whether the file name has the suffix of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def is_image(path: str | os.PathLike[str]) -> bool:
    """Returns whether the file name has the suffix of an image."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def describe_skipped(names: Iterable[str]) -> str:
    """Returns the number of files and their suffixes, the commonest first, or "" for no files.

    Args:
        names: Names of files that are neither videos nor images. Hidden files are ignored.
    """
    seen = [name for name in names if not name.startswith(".")]
    if not seen:
        return ""
    counts = Counter(Path(name).suffix.lower().removeprefix(".") or "no suffix" for name in seen)
    kinds = [suffix for suffix, _ in counts.most_common(MOST_SUFFIXES)]
    kinds += ["…"] if len(counts) > MOST_SUFFIXES else []
    return f"{len(seen)} file{'s' * (len(seen) > 1)} skipped: {', '.join(kinds)}"


def walk_media(folder: Path) -> Iterator[Path]:
    """Yields the videos and images of a folder; a note counts the other files."""
    entered: set[str] = set()
    others: list[str] = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        others += (name for name in files if not is_media(name))
        yield from (Path(parent, name) for name in sorted(files) if is_media(name))
    if skipped := describe_skipped(others):
        say(f"note: {skipped} (in {folder})")
