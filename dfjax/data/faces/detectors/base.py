"""Defines the interface of face detectors."""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfjax.data.faces.images import Frame

LONGEST_SIDE = 640  # pixels of the longest side of the frames that detection runs on


class Detections(NamedTuple):
    """The faces of one frame, in its pixels.

    Attributes:
        boxes: x0 y0 x1 y1 of every face.
        landmarks: x0 y0 … x4 y4 of every face, or None if the face detector gives none. The order
            is left eye, right eye, nose, left and right corner of the mouth, where left is that of
            the picture.
        scores: Confidence of every face, or None if the face detector gives none.
        mesh: x0 y0 x1 y1 … of the 468 landmarks of every face, or None if the face detector gives
            none.
    """

    boxes: Float32[np.ndarray, "N 4"]
    landmarks: Float32[np.ndarray, "N 10"] | None = None
    scores: Float32[np.ndarray, "N"] | None = None
    mesh: Float32[np.ndarray, "N 936"] | None = None

    @classmethod
    def none(cls) -> "Detections":
        """Returns the detections of a frame without a face."""
        return cls(np.zeros((0, 4), np.float32))


FaceDetector = Callable[[Frame], Detections]


def shrink(frame: Frame) -> tuple[UInt8[np.ndarray, "h w 3"], float]:
    """Returns the frame, downsampled to at most `LONGEST_SIDE` pixels, and its scale."""
    height, width = frame.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    if scale == 1.0:
        return frame, scale
    shape = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    return cv2.resize(frame, shape, interpolation=cv2.INTER_AREA), scale
