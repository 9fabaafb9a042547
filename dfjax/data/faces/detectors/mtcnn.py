"""MTCNN (Zhang et al. 2016) through the package of that name: boxes, five points and a score."""

import importlib
from typing import Any

import numpy as np

from dfjax.data.faces.detectors.base import Detections, FaceDetector, shrink
from dfjax.data.faces.video import Frame
from dfjax.errors import UsageError

POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # left in the picture


def make_mtcnn() -> FaceDetector:
    """Returns the detector of the package `mtcnn`, which brings its weights.

    Raises:
        UsageError: the package is not installed.
    """
    try:
        package = importlib.import_module("mtcnn")
    except ImportError as error:
        raise UsageError(
            f"the detector mtcnn needs its extra: pip install 'dfjax[face]' ({error})"
        ) from error
    network = package.MTCNN()

    def detect(frame: Frame) -> Detections:
        small, scale = shrink(frame)
        return read_faces(network.detect_faces(small), scale)

    return detect


def read_faces(found: list[dict[str, Any]] | None, scale: float) -> Detections:
    """Returns the detections in MTCNN's answer, in pixels of the unscaled frame."""
    if not found:
        return Detections.none()
    boxes = np.array([face["box"] for face in found], np.float32)  # x y w h
    boxes[:, 2:] += boxes[:, :2]
    points = [[face["keypoints"][name] for name in POINTS] for face in found]
    landmarks = np.array(points, np.float32).reshape(len(found), 10)
    scores = np.array([face["confidence"] for face in found], np.float32)
    return Detections(boxes / np.float32(scale), landmarks / np.float32(scale), scores)
