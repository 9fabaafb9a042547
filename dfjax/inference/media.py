"""Prepares files for scoring: finds inputs, chooses frames, crops faces and cuts clips.

These functions run in worker processes, so that a decoder that hangs or crashes affects only one
input. The module does not import JAX.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, Shaped, UInt8

from dfjax.data.clips import sampling as clips
from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces.clip_crops import crop_clips, cut_masks
from dfjax.data.faces.input_measures import measure_clips, measure_file
from dfjax.data.faces.marks import is_restored
from dfjax.data.faces.media_files import walk_media
from dfjax.data.faces.settings import ExtractionSettings
from dfjax.data.faces.video import ShortVideoError, VideoInfo, probe, read_frames
from dfjax.errors import InputError, UsageError

SHOWN = 8  # frames in a figure
SHOWN_WIDTH = 480  # pixels of a frame in a figure


@dataclass(frozen=True)
class PredictionSettings:
    """Settings by which clips are cut from an input.

    Attributes:
        sampling: Rule by which frames are chosen for a clip.
        clips: Number of clips per input; 0 for as many as cover the input.
        most_clips: Upper limit of that number where `clips` is 0; 0 for no limit.
        cutting: Settings of face detection and cropping.
        pictures: Whether a few frames are kept for a figure.
        min_face_share: Least share of the frames used in which a face must be detected.
        region: Mask of the manipulation, a video or image; None if there is none.
    """

    sampling: Sampling
    clips: int
    most_clips: int
    cutting: ExtractionSettings
    pictures: bool = False
    min_face_share: float = 0.0
    region: Path | None = None


@dataclass(frozen=True)
class Sightings:
    """Boxes of the face in a few of the frames used.

    Attributes:
        numbers: Numbers of the frames in the input.
        boxes: Boxes (x1, y1, x2, y2) in pixels of the frames; NaN where no face was searched for.
        found: Whether a face was detected in the frame.
    """

    numbers: Int32[np.ndarray, "F"]
    boxes: Float[np.ndarray, "F 4"]
    found: Bool[np.ndarray, "F"]


@dataclass(frozen=True)
class Pictures:
    """A few reduced frames of an input, with boxes in their pixels; see `Sightings`."""

    frames: list[UInt8[np.ndarray, "H W 3"]]
    boxes: Float[np.ndarray, "F 4"]
    found: Bool[np.ndarray, "F"]
    numbers: list[int]


@dataclass(frozen=True)
class ClipOrigin:
    """Origin of the clips of an input.

    Attributes:
        mask: False on padding frames of a short input.
        position: Source frame numbers, -1 on padding.
        frames_used: Number of distinct frames in the clips.
        faces_missed: Number of these frames in which no face was detected; 0 where none was
            searched for.
        sha256: Hash of the file; None for arrays.
        sightings: Boxes of the face in a few of the frames.
        pictures: These frames, where they are kept for a figure.
        face_share: Share of the frames used in which a face was detected; None where none was
            searched for.
        measures: Properties of the input (`input_measures`); empty for arrays.
        restored: Whether the file is marked as restored by a model.
    """

    mask: Bool[np.ndarray, "N T"]
    position: Int32[np.ndarray, "N T"]
    frames_used: int
    faces_missed: int
    sha256: str | None
    sightings: Sightings
    pictures: Pictures | None = None
    face_share: float | None = None
    measures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    restored: bool = False


class Prepared(NamedTuple):
    """The clips of an input, RGB face crops, their origin, and where they are manipulated."""

    clips: UInt8[np.ndarray, "N T H W 3"]
    origin: ClipOrigin
    region: Bool[np.ndarray, "N T H W"] | None = None


class Unusable(NamedTuple):
    """A readable input without enough frames with a face; fields as in `ClipOrigin`."""

    error: str
    frames_used: int
    faces_missed: int
    face_share: float


def find_inputs(paths: Sequence[Path], *, missing_ok: bool = False) -> list[Path]:
    """Returns the files to score: files as given, and the sorted videos and images of folders.

    A file is returned as often as it is given, so that results match the inputs, but not again as
    a file of a folder. Symbolic links are followed, but no folder is entered twice, so that loops
    of links end.

    Args:
        paths: Files and folders.
        missing_ok: Whether paths that do not exist, and folders without any video or image, are
            returned unchanged, so that `prepare_input` raises an error for them.

    Raises:
        UsageError: A path does not exist, or a folder contains no video or image.
    """
    found: list[Path] = []
    for path in paths:
        inside = list(walk_media(path)) if os.path.isdir(path) else []
        if inside:
            listed = set(found)
            found += [file for file in inside if file not in listed]
        elif missing_ok or (os.path.lexists(path) and not os.path.isdir(path)):
            found.append(path)
        elif os.path.isdir(path):
            raise UsageError(f"no video or image in {path}")
        else:
            raise UsageError(f"no such file or folder: {path}")
    return found


def prepare_input(settings: PredictionSettings, path: str) -> Prepared | Unusable:
    """Returns the clips of one input, or the reason why its faces cannot be used.

    Args:
        settings: Settings of the clips.
        path: Path of the video or image.

    Raises:
        InputError: The file cannot be read.
    """
    if os.path.isdir(path):
        raise InputError("no video or image in this folder")
    info = probe(path)
    fps = info.fps if info.n_frames > 1 else 1.0  # an image has no frame rate
    if settings.sampling.by_duration and not fps:
        raise InputError("its frame rate is unknown, and clips have a duration in seconds")
    sampling = clips.for_video(settings.sampling, fps, Path(path).name)
    settings = dataclasses.replace(settings, sampling=sampling)
    try:
        return _prepare(settings, Path(path), info)
    except ShortVideoError as error:  # fewer frames can be decoded than the header says
        return _prepare(settings, Path(path), info._replace(n_frames=error.n_frames))


def _prepare(settings: PredictionSettings, path: Path, info: VideoInfo) -> Prepared | Unusable:
    n_frames = info.n_frames
    choose = functools.partial(choose_clips, settings=settings)
    crops = crop_clips(path, n_frames, settings.cutting, choose)
    position, mask, numbers, faces = crops
    looked = settings.cutting.detector != "none"
    used, missed = len(numbers), int((~faces.found).sum()) if looked else 0
    share = 1 - missed / used if looked else None
    if share is not None and (faces.fallback or share < settings.min_face_share):
        return Unusable(_describe_missed(settings, n_frames, used, missed), used, missed, share)
    cut = gather_clips(faces.crops, numbers, position, mask)
    measures = measure_file(info, faces.boxes[faces.found]) | {
        "sharpness": float(measure_clips(cut, mask).mean())
    }
    shown = choose_shown(len(numbers))
    sightings = Sightings(numbers[shown], faces.boxes[shown], faces.found[shown])
    origin = ClipOrigin(
        mask=mask,
        position=position,
        frames_used=used,
        faces_missed=missed,
        sha256=info.sha256,
        sightings=sightings,
        pictures=take_pictures(path, sightings) if settings.pictures else None,
        face_share=share,
        measures=measures,
        restored=is_restored(path),
    )
    if settings.region is None:
        return Prepared(cut, origin)
    masks = cut_masks(settings.region, crops, settings.cutting, (info.width, info.height))
    return Prepared(cut, origin, gather_clips(masks, numbers, position, mask))


def _describe_missed(settings: PredictionSettings, n_frames: int, used: int, missed: int) -> str:
    if missed == used:
        where = "any frame" if n_frames > 1 else "its one frame"
        return f"no usable face: no face found in {where}"
    return (
        f"no usable face: a face was found in {used - missed} of {used} frames, which is less than "
        f"the share {settings.min_face_share:g} (min_face_share)"
    )


def gather_clips(
    frames: Shaped[np.ndarray, "F H W *c"],
    numbers: Int32[np.ndarray, "F"],
    position: Int32[np.ndarray, "N T"],
    mask: Bool[np.ndarray, "N T"],
) -> Shaped[np.ndarray, "N T H W *c"]:
    """Returns clips of the frames, with zeros on padding.

    Args:
        frames: All frames of the clips.
        numbers: Numbers of these frames, ascending.
        position: Numbers of the frames of each clip.
        mask: False on padding.
    """
    clips = frames[np.searchsorted(numbers, np.where(mask, position, numbers[0]))]
    clips[~mask] = 0
    return clips


def choose_clips(
    numbers: Int32[np.ndarray, "_"], settings: PredictionSettings
) -> tuple[Int32[np.ndarray, "N T"], Bool[np.ndarray, "N T"]]:
    """Returns the source frame numbers of the clips, chosen as in evaluation, and their mask.

    Args:
        numbers: Source frame numbers to choose from, ascending.
        settings: Settings of the clips.
    """
    sampling = settings.sampling
    offsets = clips.spread_offsets(numbers, sampling, settings.clips)
    if not settings.clips and 0 < settings.most_clips < len(offsets):
        offsets = clips.spread_offsets(numbers, sampling, settings.most_clips)
    chosen = [
        clips.pad(
            clips.choose_frames(numbers, sampling, offset=float(offset)),
            sampling,
            offset=float(offset),
        )
        for offset in offsets
    ]
    return np.stack([position for position, _ in chosen]), np.stack([mask for _, mask in chosen])


def choose_shown(count: int) -> Int32[np.ndarray, "F"]:
    """Returns the indices of up to `SHOWN` of `count` frames, spread evenly, for a figure."""
    return np.unique(np.linspace(0, count - 1, SHOWN).round().astype(np.int32))


def take_pictures(path: Path, sightings: Sightings) -> Pictures:
    """Returns the frames of a file that `sightings` lists, reduced for a figure.

    Raises:
        InputError: The file cannot be read.
    """
    return shrink(read_frames(path, sightings.numbers.tolist()), sightings)


def shrink(frames: Iterable[UInt8[np.ndarray, "H W 3"]], sightings: Sightings) -> Pictures:
    """Returns the frames, reduced to the width of a figure, with the boxes in their pixels."""
    pictures, boxes = [], []
    for frame, box in zip(frames, sightings.boxes):
        scale = min(1.0, SHOWN_WIDTH / frame.shape[1])
        shape = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
        pictures.append(cv2.resize(frame, shape, interpolation=cv2.INTER_AREA))
        boxes.append(box * scale)
    return Pictures(pictures, np.stack(boxes), sightings.found, sightings.numbers.tolist())
