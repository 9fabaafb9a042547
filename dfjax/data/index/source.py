"""What a video of the index is on disk: one file, or the images of its frames in a folder."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.data.faces.video import IMAGE_SUFFIXES, Frame, VideoInfo, iterate_frames, probe
from dfjax.data.index.adapters.frame_folders import describe_frames
from dfjax.errors import InputError

SOURCE = ("root", "path", "frames_dir", "frame_indices", "frame_names")
"""Columns of the index that say what a video is on disk."""


class Source(NamedTuple):
    """The files of a video.

    Attributes:
        files: the video (or image) file, or one image per frame.
        numbers: the frame that each image is, ascending; None where one file is decoded.
    """

    files: tuple[Path, ...]
    numbers: tuple[int, ...] | None = None


def find_source(row: Mapping[str, Any]) -> Source:
    """Returns what the `path` of a row of the index is; frames that came as images are named there.

    Raises:
        InputError: the row names no file, or a folder without images.
    """
    if row["path"] is None:
        raise InputError("the index names no file for it")
    place = Path(row["root"] or "", row["path"])
    if not place.is_dir():
        return Source((place,))
    if _is_same(row.get("frames_dir"), place):
        return find_frames(row, Path())  # maybe not all that lie there
    names = [p.name for p in place.iterdir() if _is_frame(p.name)]
    if not names:
        raise InputError("is a folder without images, not a video")
    return find_frames(describe_frames(place, names), Path())


def find_frames(row: Mapping[str, Any], folder: Path) -> Source:
    """Returns the images of a row with a `frames_dir`, which is relative to `folder`."""
    names = row.get("frame_names") or [f"{index:06d}.jpg" for index in row["frame_indices"]]
    files = tuple(folder / row["frames_dir"] / name for name in names)
    return Source(files, tuple(row["frame_indices"]))


def probe_source(source: Source) -> VideoInfo:
    """Returns what a video is; of frames in a folder every file is read for the hash.

    Raises:
        InputError: the file, or every image, cannot be read.
    """
    if source.numbers is None:
        return probe(source.files[0])
    info = _probe_first(source.files)
    present = tuple(file for file in source.files if file.is_file())  # `data pack` lists the others
    size = sum(file.stat().st_size for file in present)
    return info._replace(n_frames=len(source.files), bytes=size, sha256=hash_files(present))


def hash_files(files: Sequence[Path]) -> str:
    """Returns the SHA-256 of the files' contents, one after another.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def iterate_source(source: Source, numbers: Sequence[int]) -> Iterator[Frame]:
    """Yields these frames (numbers ascend) as u8 RGB, one in memory at a time.

    Raises:
        InputError: as `video.read_frames`, when the decoder gets there.
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
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def _probe_first(files: tuple[Path, ...]) -> VideoInfo:
    """Returns what the first image is that can be read."""
    for file in files[:-1]:
        try:
            return probe(file)
        except InputError:
            continue  # `data pack` lists it
    return probe(files[-1])
