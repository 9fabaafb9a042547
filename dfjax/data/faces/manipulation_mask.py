"""Reads manipulation masks that data sets publish, and finds the face that they mark."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Float32

from dfjax.data.faces.crops import MakeRank, Shapes
from dfjax.data.faces.tracks import Boxes, Rank, Track, make_size_rank
from dfjax.data.faces.video import Frame, ShortVideoError, iterate_frames, probe
from dfjax.errors import InputError

T = TypeVar("T")
Mask = Float32[np.ndarray, "H W"]


def read_masks(path: Path, indices: Sequence[int]) -> dict[int, Mask]:
    """Returns the masks of source frames, with values from 0 to 1, by frame number.

    Frames beyond the end of the mask are left out.

    Args:
        path: Mask, a video or an image.
        indices: Frame numbers in ascending order.

    Raises:
        InputError: The mask cannot be read.
    """

    def read(there: list[int]) -> dict[int, Mask]:
        return dict(zip(there, map(_to_mask, iterate_frames(path, there))))

    try:
        return read_to_end(path, indices, read)
    except InputError as error:
        raise InputError(f"its mask {path.name} cannot be read: {error}") from error


def read_to_end(path: Path, indices: Sequence[int], read: Callable[[list[int]], T]) -> T:
    """Returns what `read` makes of those of the frames that a mask has and that can be decoded.

    Args:
        path: Mask, a video or an image.
        indices: Frame numbers in ascending order.
        read: Function of the numbers of existing frames.

    Raises:
        InputError: The mask cannot be read.
    """
    n_frames = probe(path).n_frames
    try:
        return read([index for index in indices if index < n_frames])
    except ShortVideoError as error:  # fewer frames than its container says
        return read([index for index in indices if index < error.n_frames])


def rank_by_mask(path: Path, indices: Sequence[int]) -> MakeRank:
    """Returns the function that makes the ranking of tracks by a mask, and then by their size.

    Args:
        path: Mask, a video or an image.
        indices: Frame numbers in which faces are searched, in ascending order.

    Raises:
        InputError: The mask cannot be read.
    """
    masks = read_masks(path, indices)

    def make_rank(boxes: Sequence[Boxes], shapes: Shapes) -> Rank:
        cover = make_mask_rank(boxes, shapes, [masks.get(index) for index in indices])
        size = make_size_rank(boxes, shapes)
        return lambda track: (cover(track), size(track))

    return make_rank


def make_mask_rank(
    detections: Sequence[Boxes],
    shapes: Sequence[tuple[int, int]],
    masks: Sequence[Mask | None],
) -> Rank:
    """Returns the function that ranks a track by the mask's mean in its boxes, summed over frames.

    Args:
        detections: Boxes of every frame, which tracks refer to by number.
        shapes: Height and width of every frame.
        masks: Mask of every frame, of any size, or None.
    """

    def rank(track: Track) -> float:
        total = 0.0
        for t, n in track.items():
            mask = masks[t]
            total += 0.0 if mask is None else compute_cover(mask, detections[t][n], shapes[t])
        return total

    return rank


def compute_cover(mask: Mask, box: Float32[np.ndarray, "4"], shape: tuple[int, int]) -> float:
    """Returns the mean of the mask inside a box, 0 for a box outside of the picture.

    Args:
        mask: Values from 0 to 1.
        box: x0 y0 x1 y1 in pixels of the frame.
        shape: Height and width of the frame.
    """
    scale = np.array([mask.shape[1] / shape[1], mask.shape[0] / shape[0]] * 2)
    x0, y0, x1, y1 = np.maximum(np.round(box * scale), 0).astype(int)
    inside = mask[y0:y1, x0:x1]
    return float(inside.mean()) if inside.size else 0.0


def _to_mask(frame: Frame) -> Mask:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
