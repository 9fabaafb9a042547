"""Crops of the clips of one video, equal to those that extraction stores and a pack returns.

Prediction cuts faces by the crop recipe of the training data: the same frames are searched for
faces, the boxes are smoothed over the same neighbours, and the crops go through JPEG.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from dfjax.data.faces.crops import Cutting, FaceCrops
from dfjax.data.faces.detectors.precomputed import Precomputed
from dfjax.data.faces.extract import decode_crop, encode_crop, extract_faces, open_detector
from dfjax.data.faces.quality import compute_qualities, find_good
from dfjax.data.faces.settings import Settings, choose_frames, describe_threshold
from dfjax.data.index.source import Source
from dfjax.errors import InputError

MOST_FRAMES = 1024
"""Frames of a video up to which all that extraction would take are searched for faces. Of a longer
one only those of the clips and their neighbours are: a film would take hours."""

NEIGHBOURS = 4  # frames on either side of a clip's; smoothing reaches over two

Positions = Int32[np.ndarray, "N T"]
Mask = Bool[np.ndarray, "N T"]
ChooseClips = Callable[[np.ndarray], tuple[Positions, Mask]]
"""From the source frame numbers that there are of a video to those of its clips."""


class ClipCrops(NamedTuple):
    """The clips of one video.

    Attributes:
        position: Source frame numbers of the clips, -1 on padding.
        mask: False on padding.
        numbers: Source frame numbers of the crops, ascending, each once.
        faces: Crops of these frames.
    """

    position: Positions
    mask: Mask
    numbers: np.ndarray
    faces: FaceCrops


def crop_clips(path: Path, n_frames: int, settings: Settings, choose: ChooseClips) -> ClipCrops:
    """Returns the clips of one video or image and their crops, as evaluation would see them.

    Args:
        path: Video or image file.
        n_frames: Number of its frames.
        settings: How to cut, see `follow_recipe`. One face per frame is taken.
        choose: Chooses clips among the frames that there are.

    Raises:
        InputError: the file cannot be read, ends early (`ShortVideoError`), cannot be aligned, or
            has no crop of the least quality.
    """
    numbers = np.asarray(
        choose_frames(n_frames, frames=settings.frames, every=settings.every), np.int32
    )
    position, mask = choose(numbers)
    if len(numbers) > MOST_FRAMES:
        numbers = _near(numbers, np.unique(position[mask]))
    detector = open_detector(settings.detector, settings.detector_model)
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


def _near(numbers: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Returns the frames of `numbers` that are used, and `NEIGHBOURS` on either side of each."""
    reach = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    places = (np.searchsorted(numbers, used)[:, None] + reach).clip(0, len(numbers) - 1)
    return numbers[np.unique(places)]


def _take(faces: FaceCrops, places: np.ndarray) -> FaceCrops:
    """Returns the crops at some places, with all that is known of each."""

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
