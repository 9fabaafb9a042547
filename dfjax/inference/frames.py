"""Prepares arrays of frames or clips for scoring."""

from typing import Any

import numpy as np

from dfjax.data.faces.images import MAX_PIXELS
from dfjax.data.faces.settings import choose_frames
from dfjax.errors import first_line
from dfjax.inference.media import (
    ClipOrigin,
    PredictionSettings,
    Prepared,
    Sightings,
    choose_clips,
    choose_shown,
    gather_clips,
    shrink,
)

Array = np.ndarray


def read_array(x: Any) -> Array:
    """Returns `x` as a NumPy array.

    Raises:
        ValueError: It cannot be an array, or a frame has more pixels than that of a file may have.
    """
    try:
        array = np.asarray(x)
    except MemoryError:
        raise
    except Exception as error:  # the `__array__` of another class may raise anything
        raise ValueError(
            f"{type(x).__name__} is no array of frames: {first_line(error)}"
        ) from error
    if array.ndim > 3 and array.shape[-3] * array.shape[-2] > MAX_PIXELS:
        raise ValueError(f"a frame of {list(array.shape)} has more than {MAX_PIXELS} pixels")
    return array


def check_frames(x: Any, frames: int) -> Array:
    """Returns `x` as an array of frames or clips.

    Args:
        x: Frames `u8[T, H, W, 3]` or clips `u8[N, T, H, W, 3]`, of any array library.
        frames: Number of frames that a clip must have.

    Raises:
        ValueError: The array has another dtype or shape.
    """
    array = read_array(x)
    right = array.dtype == np.uint8 and array.ndim in (4, 5) and array.shape[-1] == 3
    if not right or 0 in array.shape:
        raise ValueError(
            "a detector takes a path, several paths, frames uint8 [T, H, W, 3] or clips uint8 "
            f"[N, {frames}, H, W, 3], not {array.dtype} {list(array.shape)}"
        )
    if array.ndim == 5 and array.shape[1] != frames:
        raise ValueError(
            f"clips of this detector have {frames} frames, not {array.shape[1]}; from frames "
            "[T, H, W, 3] of any number clips are cut"
        )
    return array


def prepare_frames(frames: Array, settings: PredictionSettings) -> Prepared:
    """Returns the clips of consecutive frames, cut as in evaluation.

    Args:
        frames: Face crops `u8[T, H, W, 3]` of every frame of a video.
        settings: Settings of the clips.

    Raises:
        ValueError: The settings define clips by their duration in seconds, and frames have no
            frame rate.
    """
    if settings.sampling.by_duration:
        raise ValueError(
            "the clips of this detector have a duration in seconds, and frames have no frame rate; "
            "give clips [N, T, H, W, 3] or the path of a video"
        )
    cutting = settings.cutting
    candidates = choose_frames(len(frames), frames=cutting.frames, every=cutting.every)
    position, mask = choose_clips(np.asarray(candidates, np.int32), settings)
    numbers = np.unique(position[mask])
    clips = gather_clips(frames[numbers], numbers, position, mask)
    return _describe(frames[numbers], numbers, clips, mask, position)


def prepare_clip(clip: Array) -> Prepared:
    """Returns one clip `u8[T, H, W, 3]` as a prepared input."""
    numbers = np.arange(len(clip), dtype=np.int32)
    return _describe(clip, numbers, clip[None], np.ones((1, len(clip)), bool), numbers[None])


def _describe(
    frames: Array, numbers: Array, clips: Array, mask: Array, position: Array
) -> Prepared:
    shown = choose_shown(len(numbers))
    no_boxes = np.full((len(shown), 4), np.nan, np.float32)
    sightings = Sightings(numbers[shown], no_boxes, np.zeros(len(shown), bool))
    origin = ClipOrigin(
        mask=mask,
        position=position,
        frames_used=len(numbers),
        faces_missed=0,
        sha256=None,
        sightings=sightings,
        pictures=shrink(frames[shown], sightings),
    )
    return Prepared(clips, origin)
