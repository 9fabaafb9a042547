"""Probes video and image files and decodes frames of exact numbers as RGB arrays.

Frame numbers count decoded frames from the start of the file, so they do not depend on the metadata
of the container. Files are opened here and passed to the decoder as streams, and only containers
that cannot refer to other files are decoded. Neither a file's name nor its content can therefore
make the decoder open other files or addresses.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from dfjax.data.faces.images import (
    Frame,
    check_size,
    count_frames,
    describe_image,
    iterate_image,
    read_texts,
)
from dfjax.data.faces.media_files import is_image
from dfjax.errors import InputError

CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,asf,flv,ogg"
"""FFmpeg's names of the containers that are read. None of them refers to other files."""

OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0", b"[playlist]")
STREAMED = 2**30  # frames in the header of an AVI that was written to a pipe: not known
VAGUE = (errno.EPERM, errno.EIO, errno.EINVAL)  # FFmpeg's texts for these would mislead


class VideoInfo(NamedTuple):
    """Properties of a file. `fps`, `duration` (s) and `bitrate` (bit/s) are None for images."""

    n_frames: int
    width: int  # as displayed, after the rotation in the file's metadata
    height: int
    fps: float | None
    duration: float | None
    codec: str
    bitrate: int | None
    bytes: int
    sha256: str


class ShortVideoError(InputError):
    """A requested frame lies beyond the last frame that can be decoded.

    Attributes:
        n_frames: Number of frames that can be decoded, so that the caller can choose others.
    """

    def __init__(self, message: str, n_frames: int) -> None:
        """Keeps the message and the number of frames."""
        super().__init__(message)
        self.n_frames = n_frames


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Returns the properties of a video or image, after decoding its first frame as a check.

    The number of frames is counted in the stream and not read from the header.

    Raises:
        InputError: The file is empty, damaged, truncated, too large, or not a video or image.
    """
    path = Path(path)
    with _open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        if is_image(path):
            n_frames, width, height, codec, seconds = describe_image(file)
            fps, duration = (1 / seconds, n_frames * seconds) if seconds else (None, None)
            bitrate = round(size * 8 / duration) if duration else None
            return VideoInfo(n_frames, width, height, fps, duration, codec, bitrate, size, sha256)
        with _open_video(file) as (container, stream):
            n_frames = _count_frames(container, stream)
            first = next(container.decode(stream), None)
            if first is None:
                raise InputError("no frame of the video stream decodes")
            width, height = _shown_size(first)
            fps = float(stream.average_rate) if stream.average_rate else None
            duration = n_frames / fps if fps else None
            if stream.duration and stream.time_base and stream.frames < STREAMED:
                duration = float(stream.duration * stream.time_base)
            bitrate = round(size * 8 / duration) if duration else None
            codec = stream.codec_context.name
    return VideoInfo(n_frames, width, height, fps, duration, codec, bitrate, size, sha256)


def read_frames(path: str | os.PathLike[str], indices: Sequence[int]) -> list[Frame]:
    """Returns the frames with these numbers as u8[H, W, 3] in RGB.

    The rotation in the file's metadata is applied. Gray, 16-bit and transparent images are
    converted to 8-bit RGB.

    Args:
        path: Video or image file.
        indices: Frame numbers in ascending order, counted from 0.

    Raises:
        InputError: The file is empty, damaged, truncated, too large, or not a video or image.
        ShortVideoError: The video ends before the last index.
    """
    return list(iterate_frames(path, indices))


def iterate_frames(path: str | os.PathLike[str], indices: Sequence[int]) -> Iterator[Frame]:
    """Yields the frames that `read_frames` returns, with one frame in memory at a time.

    Args:
        path: Video or image file.
        indices: Frame numbers in ascending order, counted from 0.

    Raises:
        InputError: The file cannot be read (see `read_frames`); raised when decoding gets there.
        ValueError: The indices do not ascend.
    """
    indices = [int(i) for i in indices]
    if any(b <= a for a, b in zip(indices, indices[1:])) or (indices and indices[0] < 0):
        raise ValueError("frame indices must ascend from 0")
    with _open_file(Path(path)) as file:
        if is_image(path):
            yield from _decode_images(file, indices)
            return
        yield from _decode_frames(file, indices)


def iterate_timed_frames(path: str | os.PathLike[str]) -> Iterator[tuple[Frame, Fraction]]:
    """Yields every frame of a video with its time in seconds, with one frame in memory at a time.

    The time of a frame without a timestamp is computed from the frame rate.

    Raises:
        InputError: The file cannot be read (see `probe`), or is an image.
    """
    if is_image(path):
        raise InputError("is an image, not a video")
    with _open_file(Path(path)) as file, _open_video(file) as (container, stream):
        rate = stream.average_rate or Fraction(25)
        number = -1
        for number, frame in enumerate(container.decode(stream)):
            seconds = number / rate
            if frame.pts is not None and frame.time_base is not None:
                seconds = frame.pts * frame.time_base
            yield _to_rgb(frame), seconds
        if number < 0:
            raise InputError("no frame of the video stream decodes")


def read_comments(path: str | os.PathLike[str]) -> list[str]:
    """Returns the texts in the metadata of a video's container, or of an image.

    Raises:
        InputError: The file cannot be read (see `probe`).
    """
    with _open_file(Path(path)) as file:
        if is_image(path):
            return read_texts(file)
        with _open_video(file) as (container, _):
            return [str(text) for text in container.metadata.values()]


@contextmanager
def open_streams(
    path: str | os.PathLike[str] | None,
) -> Iterator[av.container.InputContainer | None]:
    """Yields the container of a video with all its streams; None for no file.

    Raises:
        InputError: The file cannot be read (see `probe`).
    """
    if path is None:
        yield None
        return
    with _open_file(Path(path)) as file, _open_video(file) as (container, _):
        yield container


def _decode_frames(file: BufferedReader, indices: list[int]) -> Iterator[Frame]:
    wanted = set(indices)
    number = -1
    with _open_video(file) as (container, stream):
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                yield _to_rgb(frame)
            if indices and number >= indices[-1]:
                return
    if number + 1 == 0:
        raise InputError("no frame of the video stream decodes")
    if indices:
        message = f"frame {indices[-1]} is needed, but only {number + 1} frames can be decoded"
        raise ShortVideoError(message, number + 1)


def _decode_images(file: BufferedReader, indices: list[int]) -> Iterator[Frame]:
    n_frames = count_frames(file)
    if indices and indices[-1] >= n_frames:
        known = "an image has one frame, number 0" if n_frames == 1 else f"it has {n_frames} frames"
        raise ShortVideoError(f"frame {indices[-1]} is needed, but {known}", n_frames)
    yield from iterate_image(file, indices)


@contextmanager
def _open_file(path: Path) -> Iterator[BufferedReader]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("is a folder, not a video or image")
        if not stat.S_ISREG(mode):  # a pipe or device would block for ever
            raise InputError("is not a regular file")
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}") from error
    except ValueError as error:  # a null character in the name
        raise InputError(f"cannot be opened: {error}") from error
    with file:
        if not os.fstat(file.fileno()).st_size:
            raise InputError("empty file (0 bytes)")
        yield file


@contextmanager
def _open_video(
    file: BufferedReader,
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    _check_playlist(file)
    try:
        with av.open(
            file, mode="r", metadata_errors="replace", container_options=dict(OPTIONS)
        ) as container:
            if not container.streams.video:
                raise InputError("has no video stream")
            stream = container.streams.video[0]
            context = stream.codec_context
            if context is None:
                raise InputError("its video codec is unknown, or it is damaged")
            if not context.width or not context.height:
                raise InputError("its video stream has no picture size")
            check_size(context.width, context.height)
            context.thread_count = 1  # one process per core decodes; see `worker_pool`
            yield container, stream
    except av.FFmpegError as error:
        reason = "" if error.errno in VAGUE else f": {error.strerror or type(error).__name__}"
        raise InputError(f"not a video, or damaged{reason}") from error
    except (MemoryError, OverflowError) as error:
        raise InputError("not a video, or damaged: its sizes are out of range") from error


def _check_playlist(file: BufferedReader) -> None:
    start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(0)
    if start.startswith(PLAYLISTS):
        raise InputError("is a list of other files or addresses, which are not opened")


def _count_frames(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    count = sum(1 for p in container.demux(stream) if p.size and not p.is_discard)
    promised = stream.frames if stream.frames < STREAMED else 0
    if count < 0.95 * promised:  # headers are off by a few; truncated files miss many
        raise InputError(f"cut off: {count} of the {promised} frames of its header are there")
    container.seek(0)
    return count


def _to_rgb(frame: av.VideoFrame) -> Frame:
    check_size(frame.width, frame.height)
    rgb = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb, _quarter_turns(frame)))


def _quarter_turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4  # both FFmpeg and numpy count counter-clockwise


def _shown_size(frame: av.VideoFrame) -> tuple[int, int]:
    turned = _quarter_turns(frame) % 2
    return (frame.height, frame.width) if turned else (frame.width, frame.height)
