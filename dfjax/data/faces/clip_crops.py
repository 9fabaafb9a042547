"""Makes the face crops of one video's clips, equal to those of extraction and packing.

Prediction crops faces by the crop recipe of the training data: it searches the same frames for
faces, smooths boxes over the same neighbouring frames, and compresses the crops by JPEG.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Int32

from dfjax.data.faces.crop_codec import decode_crop, encode_crop
from dfjax.data.faces.crops import Cutting, FaceCrops, FacePath, cut_faces
from dfjax.data.faces.detectors.precomputed import Precomputed
from dfjax.data.faces.extract import extract_faces, open_detector
from dfjax.data.faces.manipulation_mask import read_masks
from dfjax.data.faces.quality import compute_qualities, find_good
from dfjax.data.faces.settings import ExtractionSettings, choose_frames, describe_threshold
from dfjax.data.index.source import Source
from dfjax.errors import InputError

MOST_FRAMES = 1024
"""Up to this number, all frames that extraction would take are searched for faces. In a longer
video only the frames of the clips and their neighbours are, because a film would take hours."""

NEIGHBOURS = 4  # frames on either side of those of clips; smoothing needs two

Positions = Int32[np.ndarray, "N T"]
Mask = Bool[np.ndarray, "N T"]
ChooseClips = Callable[[np.ndarray], tuple[Positions, Mask]]
"""Function from the available source frame numbers of a video to those of its clips."""


class ClipCrops(NamedTuple):
    """The clips of one video.

    Attributes:
        position: Source frame numbers of the clips, -1 for padding.
        mask: Which frames are valid; False for padding.
        numbers: Source frame numbers of the crops, ascending and unique.
        faces: Crops of these frames.
    """

    position: Positions
    mask: Mask
    numbers: np.ndarray
    faces: FaceCrops


def crop_clips(
    path: Path, n_frames: int, settings: ExtractionSettings, choose: ChooseClips
) -> ClipCrops:
    """Returns the clips of one video or image with their crops, the same as in evaluation.

    Args:
        path: Video or image file.
        n_frames: Number of its frames.
        settings: Settings of cropping (see `follow_recipe`). One face per frame is used.
        choose: Function that chooses clips among the available frames.

    Raises:
        InputError: The file cannot be read or aligned, or no crop reaches the quality thresholds.
        ShortVideoError: The video has fewer than `n_frames` frames.
    """
    numbers = np.asarray(
        choose_frames(n_frames, frames=settings.frames, every=settings.every), np.int32
    )
    position, mask = choose(numbers)
    if len(numbers) > MOST_FRAMES:
        numbers = _near(numbers, np.unique(position[mask]))
    detector = open_detector(settings.detector, settings.detector_model, settings.min_face)
    assert not isinstance(detector, Precomputed), "follow_recipe refuses precomputed faces"
    how = Cutting(settings.size, settings.margin, settings.align)
    faces = extract_faces(Source((path,)), numbers.tolist(), detector, how)[0]
    if settings.min_quality:
        columns = compute_qualities(faces.crops, faces.boxes, faces.landmarks, faces.scores)
        good = find_good(columns, dict(settings.min_quality))
        if not good:
            raise InputError(describe_threshold(settings))
        numbers, faces = numbers[good], _take(faces, np.asarray(good))
        position, mask = choose(numbers)
    used = np.unique(position[mask])
    faces = _take(faces, np.searchsorted(numbers, used))
    stored = [decode_crop(encode_crop(crop, settings.jpeg_quality)) for crop in faces.crops]
    return ClipCrops(position, mask, used, faces._replace(crops=np.stack(stored)))


def cut_masks(
    path: Path, crops: ClipCrops, settings: ExtractionSettings, size: tuple[int, int]
) -> Bool[np.ndarray, "F S S"]:
    """Returns which pixels of crops are manipulated, by the mask of their video.

    Frames beyond the end of the mask have nothing manipulated.

    Args:
        path: Mask, a video or image in which manipulated pixels are bright.
        crops: Crops of the video.
        settings: Settings by which they were cropped.
        size: Width and height of the video.

    Raises:
        InputError: The mask cannot be read.
    """
    masks, faces = read_masks(path, crops.numbers.tolist()), crops.faces
    black = np.zeros((size[1], size[0], 3), np.uint8)
    frames = [
        black if number not in masks
        else np.repeat((255 * cv2.resize(masks[number], size)).astype(np.uint8)[..., None], 3, -1)
        for number in crops.numbers.tolist()
    ]  # fmt: skip
    face = FacePath(faces.boxes, faces.found, faces.fallback, faces.landmarks)
    how = Cutting(settings.size, settings.margin, settings.align)
    return cut_faces(frames, [face], how)[0].crops[..., 0] >= 128


def _near(numbers: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Returns the used frames of `numbers` and `NEIGHBOURS` frames on either side of each."""
    reach = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    places = (np.searchsorted(numbers, used)[:, None] + reach).clip(0, len(numbers) - 1)
    return numbers[np.unique(places)]


def _take(faces: FaceCrops, places: np.ndarray) -> FaceCrops:
    """Returns the crops at some positions, with their other fields."""

    def take(values: list[Any] | None) -> list[Any] | None:
        return None if values is None else [values[place] for place in places]

    return faces._replace(
        crops=faces.crops[places],
        boxes=faces.boxes[places],
        found=faces.found[places],
        landmarks=take(faces.landmarks),
        scores=take(faces.scores),
        crop_landmarks=take(faces.crop_landmarks),
    )
