"""Aligns faces by a similarity transform of five landmarks to a template.

The template is that of face recognition for crops of 112 pixels (Deng et al. 2019, ArcFace).
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from dfjax.data.faces.images import Frame
from dfjax.data.faces.tracks import fill_boxes

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
    """Returns the positions of the five landmarks in a crop, in pixels.

    Args:
        size: Side of the crop in pixels.
        margin: Side of the crop relative to the tight crop of the template.
    """
    centre = TEMPLATE_SIZE / 2
    return ((TEMPLATE - centre) / (TEMPLATE_SIZE * margin) + 0.5) * size


def fit_similarity(
    points: Float[np.ndarray, "N 2"], targets: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, "2 3"]:
    """Returns the least-squares similarity transform (rotation, scale, shift) of points to targets.

    It is computed with complex numbers, z -> a z + b, which excludes reflections (Umeyama 1991).
    Points that all coincide give the scale 0.

    Args:
        points: Points (x, y).
        targets: Where the points should be.
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
    """Returns the crop of a frame in which the five landmarks are at the template's positions.

    Beyond the frame its border is repeated. A frame that is downsampled is first averaged over
    areas, which prevents aliasing.

    Args:
        frame: Frame of a video.
        landmarks: x0 y0 … x4 y4 in pixels of the frame.
        size: Side of the crop in pixels.
        margin: Side of the crop relative to the tight crop of the template.
    """
    points = landmarks.reshape(5, 2).astype(np.float64)
    scale = np.linalg.norm(fit_similarity(points, make_template(size, margin))[0, :2])
    if 0 < scale < 1:
        height, width = frame.shape[:2]
        small = max(1, round(width * scale)), max(1, round(height * scale))
        frame = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        # Pixels are areas: the centre of the first one is 0.5 from the edge in both pictures.
        points = (points + 0.5) * [small[0] / width, small[1] / height] - 0.5
    matrix = fit_similarity(points, make_template(size, margin))
    return cv2.warpAffine(
        frame, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def align_points(
    points: Float[np.ndarray, "N 2"],
    landmarks: Float[np.ndarray, "10"],
    *,
    size: int,
    margin: float,
) -> Float[np.ndarray, "N 2"]:
    """Returns the positions of points in the crop of `align_face`.

    Those of the five landmarks are near those of the template, but a similarity transform cannot
    fit all five exactly.

    Args:
        points: Points (x, y) in pixels of the frame.
        landmarks: x0 y0 … x4 y4, by which the crop is aligned, in pixels of the frame.
        size: Side of the crop in pixels.
        margin: Side of the crop relative to the tight crop of the template.
    """
    matrix = fit_similarity(landmarks.reshape(5, 2), make_template(size, margin))
    return points @ matrix[:, :2].T + matrix[:, 2]


def fill_landmarks(landmarks: list[list[float] | None]) -> Float32[np.ndarray, "T 10"]:
    """Returns the landmarks of every frame, interpolated where they are missing."""
    found = np.array([points is not None for points in landmarks])
    table = np.array([points or [np.nan] * 10 for points in landmarks], np.float32)
    return fill_boxes(table, found)
