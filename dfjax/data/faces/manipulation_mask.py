"""Masks that data sets publish beside their fakes, and which face of a video they mean."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32

from dfjax.data.faces.tracks import Boxes, Rank, Track
from dfjax.data.faces.video import Frame, iterate_frames, probe
from dfjax.errors import InputError

Mask = Float32[np.ndarray, "H W"]


def read_masks(path: Path, indices: Sequence[int]) -> dict[int, Mask]:
    """Returns the masks of these source frames, 0 to 1; those beyond the mask's end are left out.

    Raises:
        InputError: the mask cannot be read.
    """
    try:
        n_frames = probe(path).n_frames
        there = [index for index in indices if index < n_frames]
        return dict(zip(there, map(_to_mask, iterate_frames(path, there))))
    except InputError as error:
        raise InputError(f"its mask {path.name} cannot be read: {error}") from error


def make_mask_rank(
    detections: Sequence[Boxes],
    shapes: Sequence[tuple[int, int]],
    masks: Sequence[Mask | None],
) -> Rank:
    """Returns the rank of a track by how much of its boxes the mask covers, summed over frames.

    Args:
        detections: the boxes that tracks count.
        shapes: (height, width) of the frames that boxes are measured in.
        masks: of every frame, of any size; None where there is none.
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
        mask: values in [0, 1].
        box: x0 y0 x1 y1 in pixels of a frame of this shape.
        shape: (height, width).
    """
    scale = np.array([mask.shape[1] / shape[1], mask.shape[0] / shape[0]] * 2)
    x0, y0, x1, y1 = np.maximum(np.round(box * scale), 0).astype(int)
    inside = mask[y0:y1, x0:x1]
    return float(inside.mean()) if inside.size else 0.0


def _to_mask(frame: Frame) -> Mask:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
