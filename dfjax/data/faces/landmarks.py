"""Reads face landmarks in pixels of the crops, from which self-blending derives the face shape."""

import numpy as np
import pandas as pd
from jaxtyping import Float32

CROP_LANDMARKS = "crop_landmarks"
"""Column of the index: a list per video with x0 y0 x1 y1 … for each crop, or null.

They are the five landmarks of the face detector, or the outline of its face mesh."""

OUTLINE_POINTS = 37
"""Number of landmarks of the outline: 36 clockwise from the top of the forehead, and the nose."""

FOREHEAD = (0, 1, 2, 3, 4, 32, 33, 34, 35)
"""Those above the temples, among the landmarks of the outline."""

NOSE = 36
"""The tip of the nose, among the landmarks of the outline."""


def count_landmarks(index: pd.DataFrame) -> int:
    """Returns the number of landmarks per crop of an index, or 0 if no crop has any."""
    for frames in index.get(CROP_LANDMARKS, ()):
        for points in frames if isinstance(frames, list) else ():
            if points is not None:
                return len(points) // 2
    return 0


def read_landmarks(
    index: pd.DataFrame, row: int, places: np.ndarray, count: int
) -> Float32[np.ndarray, "T {count} 2"]:
    """Returns the landmarks of some crops of a video, NaN where a crop has none.

    Landmarks whose number is not `count` are left out, too.

    Args:
        index: Index with the column `crop_landmarks`.
        row: Row of the video.
        places: Positions of the crops among those of the video.
        count: Number of landmarks per crop.
    """
    found = np.full((len(places), count, 2), np.nan, np.float32)
    frames = index[CROP_LANDMARKS].iloc[row]
    for out, place in zip(found, places.tolist()):
        points = frames[place] if isinstance(frames, list) else None
        if points is not None and len(points) == 2 * count:
            out[:] = np.reshape(points, (count, 2))
    return found
