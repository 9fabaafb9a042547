"""How good a crop of a face is: numbers to store beside it, and to filter by.

All grow with quality, and are None where what they are computed from is not known.
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

_HALF = 16  # pixels, of the picture in which the halves of a face are compared
_INNER = 0.55  # of a crop: eyes to mouth, where a cover lowers the symmetry most

Values = list[float | None]


def compute_qualities(
    crops: UInt8[np.ndarray, "T S S 3"],
    boxes: Float32[np.ndarray, "T 4"],
    landmarks: list[list[float] | None] | None,
    scores: list[float | None] | None,
) -> dict[str, Values]:
    """Returns the columns of `QUALITIES`, one value per crop.

    `quality` is the variance of the crop's Laplacian; `face_size` the side of the box in source
    pixels; `face_score` the detector's; `face_frontal` 1 where the nose is midway between the eyes
    and 0 where it is beside one (a proxy of pose); `face_visible` the correlation of the crop's
    middle with its mirror image (a proxy of occlusion: a hand before one cheek lowers it, as do a
    turn and light from one side).

    Args:
        crops: RGB.
        boxes: of the faces in source pixels.
        landmarks: five points a face, None where not detected.
        scores: of the detector, None where not detected.
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
    """Returns the variance of the Laplacian of the gray crop: low where it is blurred."""
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return round(float(cv2.Laplacian(gray, cv2.CV_64F).var()), 2)


def compute_frontal(landmarks: list[float]) -> float:
    """Returns how central the nose is between the eyes: 1 midway, 0 beside one or beyond it."""
    eye, other, nose = np.asarray(landmarks, np.float64).reshape(5, 2)[:3]
    line = other - eye
    length = float(line @ line)
    place = float((nose - eye) @ line) / length if length else 0.0
    return round(max(0.0, 1 - abs(2 * place - 1)), 4)


def compute_symmetry(crop: UInt8[np.ndarray, "H W 3"]) -> float:
    """Returns the correlation of the gray middle of a crop with its mirror image, at least 0.

    Of a small copy, so that noise does not count; 1 is symmetric, as is a flat crop.
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
    """Returns the places of the crops that reach every threshold; unknown values do not.

    Args:
        columns: from `compute_qualities`.
        least: threshold by name, see `QUALITIES`.
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
