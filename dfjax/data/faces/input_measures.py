"""Properties of an input that a detector may depend on: size, compression and sharpness.

They are computed alike for the videos of an index and for files that are scored, so that drift
between them can be told.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, UInt8

from dfjax.data.faces.quality import compute_sharpness
from dfjax.data.faces.video import VideoInfo

MEASURES = {
    "sharpness": "variance of the Laplacian of the face crops",
    "face_size": "side of the face in pixels of the input",
    "frame_size": "square root of the pixels of a frame",
    "bits_per_pixel": "bits of the file per pixel of its frames",
}
"""Names of the properties."""

MOST_FRAMES = 8
"""Frames of a clip whose sharpness is computed, spread evenly."""


def measure_file(info: VideoInfo, boxes: Float[np.ndarray, "F 4"]) -> dict[str, float]:
    """Returns `face_size`, `frame_size` and `bits_per_pixel` of a file; NaN where not known.

    Args:
        info: Properties of the file.
        boxes: Boxes of the faces that were detected, in pixels of the frames.
    """
    pixels = float(info.width * info.height)
    return {
        "face_size": _measure_boxes(boxes),
        "frame_size": pixels**0.5,
        "bits_per_pixel": 8 * info.bytes / (pixels * info.n_frames) if info.n_frames else np.nan,
    }


def measure_clips(
    clips: UInt8[np.ndarray, "N T H W 3"], mask: Bool[np.ndarray, "N T"]
) -> Float[np.ndarray, "N"]:
    """Returns the mean sharpness of the frames of each clip; NaN where all frames are padding."""
    found = np.full(len(clips), np.nan)
    for place, (clip, used) in enumerate(zip(clips, mask)):
        frames = clip[used]
        if len(frames):
            chosen = np.unique(np.linspace(0, len(frames) - 1, MOST_FRAMES).round().astype(int))
            found[place] = np.mean([compute_sharpness(frame) for frame in frames[chosen]])
    return found


def measure_index(index: pd.DataFrame) -> pd.DataFrame:
    """Returns `face_size`, `frame_size` and `bits_per_pixel` of the videos of an index."""
    width, height, size, frames = (
        pd.to_numeric(index[name], errors="coerce").to_numpy(np.float64)
        for name in ("width", "height", "bytes", "n_frames")
    )
    pixels = width * height
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = 8 * size / (pixels * frames)
    faces = [_measure_found(*pair) for pair in zip(index["boxes"], index["face_found"])]
    columns = {"face_size": faces, "frame_size": np.sqrt(pixels), "bits_per_pixel": bits}
    return pd.DataFrame(columns, index=index.index).replace([np.inf, -np.inf], np.nan)


def _measure_found(boxes: Any, found: Any) -> float:
    if boxes is None or found is None or isinstance(boxes, float) or isinstance(found, float):
        return np.nan
    table = np.array([np.asarray(box, np.float64) for box in boxes]).reshape(-1, 4)
    return _measure_boxes(table[np.asarray(found, bool)[: len(table)]])


def _measure_boxes(boxes: Float[np.ndarray, "F 4"]) -> float:
    return float(np.median(boxes[:, 2] - boxes[:, 0])) if len(boxes) else np.nan
