"""Landmarks of faces in pixels of their crops, which self-blending takes the face's shape from."""

import numpy as np
import pandas as pd
from jaxtyping import Float32

CROP_LANDMARKS = "crop_landmarks"
"""Of the index: per crop x0 y0 x1 y1 …, or null."""


def count_landmarks(index: pd.DataFrame) -> int:
    """Returns how many points the crops of an index have; 0 where none is known."""
    for frames in index.get(CROP_LANDMARKS, ()):
        for points in frames if isinstance(frames, list) else ():
            if points is not None:
                return len(points) // 2
    return 0


def read_landmarks(
    index: pd.DataFrame, row: int, places: np.ndarray, count: int
) -> Float32[np.ndarray, "T {count} 2"]:
    """Returns the points of some crops of a video; not a number where there are none, or others.

    Args:
        index: has the column.
        row: of the video.
        places: of the crops among those of the video.
        count: of points.
    """
    found = np.full((len(places), count, 2), np.nan, np.float32)
    frames = index[CROP_LANDMARKS].iloc[row]
    for out, place in zip(found, places.tolist()):
        points = frames[place] if isinstance(frames, list) else None
        if points is not None and len(points) == 2 * count:
            out[:] = np.reshape(points, (count, 2))
    return found
