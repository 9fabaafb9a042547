"""From a path to clips that a detector can score: find inputs, choose frames, crop faces.

Runs in worker processes, where a decoder that hangs or crashes costs only its own input; nothing
here imports JAX.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dfjax.data.clips import sampling as clips
from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces.crops import FaceCrops
from dfjax.data.faces.detectors import FaceDetector, make_detector
from dfjax.data.faces.extract import choose_frames, extract_video
from dfjax.data.faces.video import ShortVideoError, is_media, probe, read_frames
from dfjax.errors import InputError, UsageError

GRID = 32  # frames that `dfjax data extract` takes of a video, for sampling = even
SHOWN = 8  # frames in a strip
SHOWN_WIDTH = 480  # pixels of a frame in a strip


@dataclass(frozen=True)
class Settings:
    """How clips are cut from an input: what the detector was trained with, and the face finder."""

    sampling: Sampling
    clips: int  # per input, 0: as many as cover it
    size: int  # of the crops, pixels
    detector: str = "haar"
    detector_model: str | None = None
    align: bool = False
    pictures: bool = False  # keep a few frames for the strip


@dataclass(frozen=True)
class Pictures:
    """Frames of an input for its strip, shrunk, with boxes in their pixels."""

    frames: list[UInt8[np.ndarray, "H W 3"]]
    boxes: Float[np.ndarray, "F 4"]
    found: Bool[np.ndarray, "F"]
    numbers: list[int]


@dataclass(frozen=True)
class Prepared:
    """One readable input: its clips, and where they come from.

    Attributes:
        clips: uint8 RGB crops.
        mask: False on padding frames of a short input.
        position: source frame numbers, -1 on padding.
        frames_used: distinct frames in the clips.
        faces_missed: those in which no face was detected, though one was looked for.
        sha256: of the file.
        pictures: for the strip, when asked for.
    """

    clips: UInt8[np.ndarray, "N T S S 3"]
    mask: Bool[np.ndarray, "N T"]
    position: np.ndarray
    frames_used: int
    faces_missed: int
    sha256: str
    pictures: Pictures | None = None


def find_inputs(paths: Sequence[Path]) -> list[Path]:
    """Returns the files to score: those named, and all videos and images in folders, sorted.

    Links are followed, but no folder is entered twice, so a loop of links ends.

    Raises:
        UsageError: a path does not exist, or a folder has no video or image in it.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = list(_walk(path))
            if not inside:
                raise UsageError(f"no video or image in {path}")
            found += inside
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            raise UsageError(f"no such file or folder: {path}")
    return list(dict.fromkeys(found))


def _walk(folder: Path) -> Iterator[Path]:
    entered: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        yield from (Path(parent, name) for name in sorted(files) if is_media(name))


def prepare(settings: Settings, path: str) -> Prepared:
    """Returns the clips of one input.

    Raises:
        InputError: the file cannot be read, or no face is found in it.
    """
    info = probe(path)
    fps = info.fps if info.n_frames > 1 else 1.0  # of a picture, nothing depends on it
    if settings.sampling.by_duration and not fps:
        raise InputError("its frame rate is not known, and clips have a duration in seconds")
    sampling = clips.for_video(settings.sampling, fps, Path(path).name)
    settings = dataclasses.replace(settings, sampling=sampling)
    try:
        return _prepare(settings, Path(path), info.n_frames, info.sha256)
    except ShortVideoError as error:  # the stream promises frames that do not decode
        return _prepare(settings, Path(path), error.n_frames, info.sha256)


def _prepare(settings: Settings, path: Path, n_frames: int, sha256: str) -> Prepared:
    position, mask = choose_clips(n_frames, settings.sampling, settings.clips)
    numbers = np.unique(position[mask])
    detector = _detector(settings.detector, settings.detector_model)
    faces = extract_video(
        path, numbers.tolist(), detector, size=settings.size, align=settings.align
    )
    looked = settings.detector != "none"
    if looked and faces.fallback:
        where = f"any of {len(numbers)} frames" if len(numbers) > 1 else "its one frame"
        raise InputError(f"no face found in {where} (--detector none takes it as a face crop)")
    crops = faces.crops[np.searchsorted(numbers, np.where(mask, position, numbers[0]))]
    crops[~mask] = 0
    return Prepared(
        clips=crops,
        mask=mask,
        position=position,
        frames_used=len(numbers),
        faces_missed=int((~faces.found).sum()) if looked else 0,
        sha256=sha256,
        pictures=_take_pictures(path, numbers, faces) if settings.pictures else None,
    )


def choose_clips(
    n_frames: int, sampling: Sampling, count: int
) -> tuple[np.ndarray, Bool[np.ndarray, "N T"]]:
    """Returns source frame numbers `i32[N, T]` of an input's clips, and their mask.

    The clips that evaluation would see, on the frames that extraction would take: every
    `stride`-th, 32 spread evenly, or, where a duration decides, all of them.
    """
    every = {"stride": sampling.stride, "even": None}.get(sampling.kind, 1)
    frames = None if every else max(GRID, sampling.frames)
    numbers = np.asarray(choose_frames(n_frames, frames=frames, every=every), np.int32)
    chosen = [
        clips.pad(
            clips.choose_frames(numbers, sampling, offset=float(offset)),
            sampling,
            offset=float(offset),
        )
        for offset in clips.spread_offsets(numbers, sampling, count)
    ]
    return np.stack([position for position, _ in chosen]), np.stack([mask for _, mask in chosen])


def compute_sha256(path: Path) -> str | None:
    """Returns the SHA-256 of a regular file that can be opened, else None: for the audit line."""
    if not path.is_file() or not os.access(path, os.R_OK):
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def _detector(name: str, model_path: str | None) -> FaceDetector:
    return make_detector(name, model_path)


def _take_pictures(path: Path, numbers: np.ndarray, faces: FaceCrops) -> Pictures:
    places = np.unique(np.linspace(0, len(numbers) - 1, SHOWN).round().astype(int))
    frames, boxes = [], []
    for frame, box in zip(read_frames(path, numbers[places].tolist()), faces.boxes[places]):
        scale = min(1.0, SHOWN_WIDTH / frame.shape[1])
        shape = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
        frames.append(cv2.resize(frame, shape, interpolation=cv2.INTER_AREA))
        boxes.append(box * scale)
    return Pictures(frames, np.stack(boxes), faces.found[places], numbers[places].tolist())
