"""Finds the files of a video of the index: one file, or a folder with an image per frame."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfjax.data.faces.images import Frame
from dfjax.data.faces.media_files import FRAME_SUFFIXES
from dfjax.data.faces.video import VideoInfo, iterate_frames, probe
from dfjax.data.index.adapters.frame_folders import describe_frames
from dfjax.errors import InputError
from dfjax.files import open_regular

SOURCE = ("root", "path", "frames_dir", "frame_indices", "frame_names")
"""Columns of the index that determine the files of a video."""


class Source(NamedTuple):
    """The files of a video.

    Attributes:
        files: Video (or image) file, or one image per frame.
        numbers: Frame number of each image, ascending, or None for a single file to decode.
    """

    files: tuple[Path, ...]
    numbers: tuple[int, ...] | None = None


def find_source(row: Mapping[str, Any]) -> Source:
    """Returns the files that the `path` of a row of the index names.

    A folder is a video of images. If the row itself lists the images of that folder, only these
    belong to the video.

    Raises:
        InputError: The row names no file, or a folder without images.
    """
    if row["path"] is None:
        raise InputError("the index names no file of this video")
    place = Path(row["root"] or "", row["path"])
    if not place.is_dir():
        return Source((place,))
    if _is_same(row.get("frames_dir"), place):
        return find_frames(row, Path())  # the folder may hold further images
    names = [p.name for p in place.iterdir() if _is_frame(p.name)]
    if not names:
        raise InputError("is a folder without images, not a video")
    return find_frames(describe_frames(place, names), Path())


def find_frames(row: Mapping[str, Any], folder: Path) -> Source:
    """Returns the images of a row with a `frames_dir`.

    Args:
        row: Row of the index.
        folder: Folder of the index, which `frames_dir` is relative to.
    """
    names = row.get("frame_names") or [f"{index:06d}.jpg" for index in row["frame_indices"]]
    files = tuple(folder / row["frames_dir"] / name for name in names)
    return Source(files, tuple(row["frame_indices"]))


def list_paths(index: pd.DataFrame) -> list[str]:
    """Returns the paths of the videos that the rows of an index name."""
    named = index[index["path"].notna()]
    roots = named["root"].where(named["root"].notna(), "")
    return [os.path.join(root, path) for root, path in zip(roots, named["path"])]


def probe_source(source: Source) -> VideoInfo:
    """Returns the properties of a video. All images of a folder are read for the hash.

    Raises:
        InputError: The file cannot be read, or none of the images can.
    """
    if source.numbers is None:
        return probe(source.files[0])
    info = _probe_first(source.files)
    present = tuple(f for f in source.files if f.is_file())  # `data pack` reports missing images
    size = sum(file.stat().st_size for file in present)
    return info._replace(n_frames=len(source.files), bytes=size, sha256=hash_files(present))


def hash_files(files: Sequence[Path]) -> str:
    """Returns the SHA-256 of the concatenated contents of the files.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        with open_regular(path) as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def iterate_source(source: Source, numbers: Sequence[int]) -> Iterator[Frame]:
    """Yields the frames with these numbers as u8[H, W, 3] in RGB, one in memory at a time.

    Args:
        source: Files of the video.
        numbers: Frame numbers in ascending order.

    Raises:
        InputError: A frame cannot be read (see `video.read_frames`); raised when it is reached.
    """
    if source.numbers is None:
        yield from iterate_frames(source.files[0], numbers)
        return
    file_of = dict(zip(source.numbers, source.files))
    for number in numbers:
        try:
            yield from iterate_frames(file_of[number], [0])
        except InputError as error:
            raise InputError(f"{file_of[number].name}: {error}") from error


def _is_same(frames_dir: Any, place: Path) -> bool:
    """Returns whether the frames of a row are its source, rather than crops made from it."""
    if not isinstance(frames_dir, str) or not Path(frames_dir).is_absolute():
        return False
    return Path(frames_dir).is_dir() and place.samefile(frames_dir)


def _is_frame(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(FRAME_SUFFIXES)


def _probe_first(files: tuple[Path, ...]) -> VideoInfo:
    """Returns the properties of the first readable image."""
    for file in files[:-1]:
        try:
            return probe(file)
        except InputError:
            continue  # `data pack` reports it
    return probe(files[-1])
