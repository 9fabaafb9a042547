"""Faces turned upright: a similarity transform that takes five points to a standard place.

The place is the common 112-pixel template of face recognition (Deng et al. 2019, ArcFace).
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from dfjax.data.faces.tracks import fill_boxes
from dfjax.data.faces.video import Frame

TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
TEMPLATE_SIZE = 112


def make_template(size: int, margin: float) -> Float[np.ndarray, "5 2"]:
    """Returns where the five points belong in a crop of `size` pixels.

    Args:
        size: side of the crop.
        margin: side of the crop in sides of the template's own, tight crop.
    """
    centre = TEMPLATE_SIZE / 2
    return ((TEMPLATE - centre) / (TEMPLATE_SIZE * margin) + 0.5) * size


def fit_similarity(
    points: Float[np.ndarray, "N 2"], targets: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, "2 3"]:
    """Returns the rotation, scale and shift that bring points nearest to targets, squares summed.

    Written with complex numbers z -> a z + b, which cannot mirror (Umeyama 1991 without the case
    that would). Points that all coincide give scale 0.
    """
    z, w = points @ [1, 1j], targets @ [1, 1j]
    centred = z - z.mean()
    spread = float(np.sum(np.abs(centred) ** 2))
    a = np.sum(centred.conj() * (w - w.mean())) / spread if spread else 0j
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align_face(
    frame: Frame, landmarks: Float32[np.ndarray, "10"], *, size: int, margin: float
) -> UInt8[np.ndarray, "size size 3"]:
    """Returns the crop of `size` pixels in which the five points stand where the template has them.

    Beyond the frame its border is repeated. A frame that has to shrink is first averaged over
    areas, so that the crop is not aliased.
    """
    points = landmarks.reshape(5, 2).astype(np.float64)
    scale = np.linalg.norm(fit_similarity(points, make_template(size, margin))[0, :2])
    if 0 < scale < 1:
        height, width = frame.shape[:2]
        small = max(1, round(width * scale)), max(1, round(height * scale))
        frame = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        # Pixels are squares: the centre of the first one is at 0.5 from the edge in both pictures.
        points = (points + 0.5) * [small[0] / width, small[1] / height] - 0.5
    matrix = fit_similarity(points, make_template(size, margin))
    return cv2.warpAffine(
        frame, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def align_points(
    landmarks: Float[np.ndarray, "10"], *, size: int, margin: float
) -> Float[np.ndarray, "5 2"]:
    """Returns where the five points are in the crop of `align_face`: near the template's."""
    points = landmarks.reshape(5, 2)
    matrix = fit_similarity(points, make_template(size, margin))
    return points @ matrix[:, :2].T + matrix[:, 2]


def fill_landmarks(landmarks: list[list[float] | None]) -> Float32[np.ndarray, "T 10"]:
    """Returns the points of every frame, interpolated where there are none."""
    found = np.array([points is not None for points in landmarks])
    table = np.array([points or [np.nan] * 10 for points in landmarks], np.float32)
    return fill_boxes(table, found)
