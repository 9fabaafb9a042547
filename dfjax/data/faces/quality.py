"""Measures of the quality of face crops, which the index stores and extraction filters by.

Larger values are better. A value is None if the data that it is computed from are not known.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

QUALITIES = {
    "sharpness": "quality",
    "size": "face_size",
    "score": "face_score",
    "frontal": "face_frontal",
    "visible": "face_visible",
}
"""Column of the index by the name of the quality."""

_HALF = 16  # pixels: half the side of the thumbnail whose halves are compared
_INNER = 0.55  # share of a crop, from eyes to mouth, where occlusion reduces the symmetry most

Values = list[float | None]


def compute_qualities(
    crops: UInt8[np.ndarray, "T S S 3"],
    boxes: Float32[np.ndarray, "T 4"],
    landmarks: list[list[float] | None] | None,
    scores: list[float | None] | None,
) -> dict[str, Values]:
    """Returns the columns of `QUALITIES`, one value per crop.

    - `quality` is the variance of the crop's Laplacian.
    - `face_size` is the side of the box in source pixels.
    - `face_score` is the confidence of the face detector.
    - `face_frontal` is 1 if the nose is midway between the eyes and 0 if it is level with one, a
      proxy of pose.
    - `face_visible` is the correlation of the crop's middle with its mirror image, a proxy of
      occlusion. A hand before one cheek reduces it, as do a turned head and light from one side.

    Args:
        crops: RGB crops.
        boxes: Boxes of the faces in source pixels.
        landmarks: Five landmarks per face, None for frames without a detection.
        scores: Confidence of the face detector, None for frames without a detection.
    """
    unknown: Values = [None] * len(crops)
    return {
        "quality": [compute_sharpness(crop) for crop in crops],
        "face_size": [round(float(box[2] - box[0]), 2) for box in boxes],
        "face_score": unknown if scores is None else scores,
        "face_frontal": unknown
        if landmarks is None
        else [None if points is None else compute_frontal(points) for points in landmarks],
        "face_visible": [compute_symmetry(crop) for crop in crops],
    }


def compute_sharpness(crop: UInt8[np.ndarray, "H W 3"]) -> float:
    """Returns the variance of the Laplacian of the gray crop, which is low for blurred crops."""
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return round(float(cv2.Laplacian(gray, cv2.CV_64F).var()), 2)


def compute_frontal(landmarks: list[float]) -> float:
    """Returns how central the nose is between the eyes: 1 midway, 0 level with or beyond one."""
    eye, other, nose = np.asarray(landmarks, np.float64).reshape(5, 2)[:3]
    line = other - eye
    length = float(line @ line)
    place = float((nose - eye) @ line) / length if length else 0.0
    return round(max(0.0, 1 - abs(2 * place - 1)), 4)


def compute_symmetry(crop: UInt8[np.ndarray, "H W 3"]) -> float:
    """Returns the correlation of the gray middle of a crop with its mirror image, at least 0.

    It is computed on a thumbnail, so that noise has little effect. Symmetric and constant crops
    give 1.
    """
    height, width = crop.shape[:2]
    top, left = round(height * (1 - _INNER) / 2), round(width * (1 - _INNER) / 2)
    inner = crop[top : max(height - top, top + 1), left : max(width - left, left + 1)]
    gray = cv2.cvtColor(np.ascontiguousarray(inner), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (2 * _HALF, 2 * _HALF), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float64) - small.mean()
    power = float((values**2).sum())
    return round(max(0.0, float((values * values[:, ::-1]).sum()) / power), 4) if power else 1.0


def find_good(columns: dict[str, Values], least: dict[str, float]) -> list[int]:
    """Returns the positions of the crops that reach every threshold; unknown values do not.

    Args:
        columns: Result of `compute_qualities`.
        least: Thresholds by name of the quality (see `QUALITIES`).
    """
    count = len(columns["quality"])
    return [
        place
        for place in range(count)
        if all(
            (value := columns[QUALITIES[name]][place]) is not None and value >= threshold
            for name, threshold in least.items()
        )
    ]
