"""MTCNN face detector (Zhang et al. 2016) of the package `mtcnn`: boxes, landmarks and scores."""

import importlib
from typing import Any

import numpy as np

from dfjax.data.faces.detectors.base import Detections, FaceDetector, shrink
from dfjax.data.faces.images import Frame
from dfjax.errors import UsageError

POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # left in the picture


def make_mtcnn() -> FaceDetector:
    """Returns the face detector of the package `mtcnn`, which includes its weights.

    Raises:
        UsageError: The package is not installed.
    """
    try:
        package = importlib.import_module("mtcnn")
    except ImportError as error:
        raise UsageError(
            f"the face detector mtcnn needs the extra face: pip install 'dfjax[face]' ({error})"
        ) from error
    network = package.MTCNN()

    def detect(frame: Frame) -> Detections:
        small, scale = shrink(frame)
        return read_faces(network.detect_faces(small), scale)

    return detect


def read_faces(found: list[dict[str, Any]] | None, scale: float) -> Detections:
    """Returns the detections of MTCNN's result in pixels of the frame before downsampling.

    Args:
        found: Result of `MTCNN().detect_faces`.
        scale: Size of the frame that MTCNN has processed, relative to the original.
    """
    if not found:
        return Detections.none()
    boxes = np.array([face["box"] for face in found], np.float32)  # x y w h
    boxes[:, 2:] += boxes[:, :2]
    points = [[face["keypoints"][name] for name in POINTS] for face in found]
    landmarks = np.array(points, np.float32).reshape(len(found), 10)
    scores = np.array([face["confidence"] for face in found], np.float32)
    return Detections(boxes / np.float32(scale), landmarks / np.float32(scale), scores)
