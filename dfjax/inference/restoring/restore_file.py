"""Restores the faces of one video or image: finds them, restores them, pastes them back."""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.faces.crops import Cutting, locate_faces
from dfjax.data.faces.detectors import FaceDetector
from dfjax.data.faces.images import Frame
from dfjax.data.faces.marks import Mark, make_comment, write_sidecar
from dfjax.data.faces.media_files import is_image
from dfjax.data.faces.video import VideoInfo, iterate_frames, iterate_timed_frames
from dfjax.errors import InputError
from dfjax.files import atomic_path, hash_file
from dfjax.inference.restoring.label import draw_label
from dfjax.inference.restoring.media_writer import write_mp4, write_png
from dfjax.inference.restoring.pasting import FacePlaces, paste
from dfjax.inference.restoring.windows import Clips, Restored, restore_sequence

FPS = 25.0  # of an animation without a frame rate


@runtime_checkable
class Restorer(Protocol):
    """A trained generator.

    Attributes:
        config: Config that it was trained with, by which faces are cropped and windows are cut.
        checkpoint: Name of the checkpoint.
        checkpoint_sha256: Hash of the checkpoint's files.
    """

    config: ConfigDict
    checkpoint: str
    checkpoint_sha256: str

    def restore(self, clips: Clips) -> Clips:
        """Returns the restored clips `u8[N, T, H, W, 3]`."""
        ...


@dataclasses.dataclass(frozen=True)
class RestoringSettings:
    """Settings by which files are restored.

    Attributes:
        how: Settings of the crops.
        every_face: Whether all persistent faces are restored, and not only the main one.
        overlap: Number of frames that two windows share.
        batch_size: Number of clips that are restored at a time.
        visible_mark: Whether the label is drawn.
        searched: Whether the face detector searches; otherwise inputs are face crops.
    """

    how: Cutting
    every_face: bool
    overlap: int
    batch_size: int
    visible_mark: bool
    searched: bool


@dataclasses.dataclass(frozen=True)
class Work:
    """What restoring a file took.

    Attributes:
        frames: Number of frames of the file.
        restored: Number of frames with a restored face.
        faces: Number of restored faces.
        seconds: Time it took.
    """

    frames: int
    restored: int
    faces: int
    seconds: float


def find_faces(
    path: Path, info: VideoInfo, detector: FaceDetector, settings: RestoringSettings
) -> list[FacePlaces]:
    """Returns the places of the faces of a file.

    Args:
        path: Video or image.
        info: Its properties.
        detector: Face detector.
        settings: Settings of the restoration.

    Raises:
        InputError: The file cannot be read, or no frame has a face.
    """
    frames = (frame for frame, _ in iterate_media(path, info))
    paths = locate_faces(frames, detector, every=settings.every_face)
    if settings.searched and paths[0].fallback:
        raise InputError(f"no face found in {'any frame' if info.n_frames > 1 else 'the image'}")
    return [FacePlaces(face, settings.how) for face in paths]


def iterate_media(path: Path, info: VideoInfo) -> Iterator[tuple[Frame, Fraction]]:
    """Yields the frames of a video or image with their times in seconds."""
    if not is_image(path):
        yield from iterate_timed_frames(path)
        return
    rate = Fraction(info.fps or FPS).limit_denominator(1001)
    for number, frame in enumerate(iterate_frames(path, range(info.n_frames))):
        yield frame, number / rate


def restore_frames(
    path: Path,
    info: VideoInfo,
    places: list[FacePlaces],
    generator: Restorer,
    settings: RestoringSettings,
) -> Iterator[tuple[Frame, Fraction]]:
    """Yields the frames of a file with restored faces, and their times in seconds.

    The file is decoded once for every face and once for the frames, so that only the crops of the
    windows are held in memory.

    Args:
        path: Video or image.
        info: Its properties.
        places: Places of its faces.
        generator: Generator that restores clips.
        settings: Settings of the restoration.
    """
    streams = [_restore_face(path, info, face, generator, settings) for face in places]
    for number, (frame, seconds) in enumerate(iterate_media(path, info)):
        original = frame
        for face, stream in zip(places, streams):
            if face.covers(number):
                crop, matrix = face.cut(original, number), face.find(number, frame.shape[:2])
                frame = paste(frame, crop, next(stream), matrix)
        yield draw_label(frame) if settings.visible_mark else frame, seconds


def _restore_face(
    path: Path,
    info: VideoInfo,
    face: FacePlaces,
    generator: Restorer,
    settings: RestoringSettings,
) -> Iterator[Restored]:
    frames = (frame for frame, _ in iterate_media(path, info))
    for crops in face.cut_runs(frames):
        yield from restore_sequence(
            crops,
            generator.restore,
            frames=generator.config.data.frames,
            overlap=settings.overlap,
            batch_size=settings.batch_size,
        )


def restore_file(
    path: Path,
    target: Path,
    info: VideoInfo,
    mark: Mark,
    *,
    generator: Restorer,
    detector: FaceDetector,
    settings: RestoringSettings,
) -> Work:
    """Writes the restored file and its sidecar, and returns what it took.

    Args:
        path: Video or image.
        target: File to write, `.png` for an image and `.mp4` for what has several frames.
        info: Properties of the input.
        mark: Entries that mark the result.
        generator: Generator that restores clips.
        detector: Face detector.
        settings: Settings of the restoration.

    Raises:
        InputError: The file cannot be read, no frame has a face, or the result cannot be encoded.
    """
    start = time.perf_counter()
    places = find_faces(path, info, detector, settings)
    frames = restore_frames(path, info, places, generator, settings)
    comment, count = make_comment(mark), 1
    with atomic_path(target) as partial:
        if target.suffix == ".png":
            write_png(partial, next(frames)[0], comment)
        else:
            audio = None if is_image(path) else path
            count = write_mp4(partial, frames, comment, fps=info.fps or FPS, audio=audio)
    shown = np.zeros(count, bool)
    for face, number in itertools.product(places, range(count)):
        shown[number] |= face.covers(number)
    work = Work(count, int(shown.sum()), len(places), time.perf_counter() - start)
    result = {"output_sha256": hash_file(target), "work": dataclasses.asdict(work)}
    write_sidecar(target, mark | result)
    return work
