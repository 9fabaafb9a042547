"""YuNet (Wu et al. 2023) through OpenCV: boxes, five points and a score; the user's ONNX file."""

from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.detectors.base import Detections, FaceDetector, shrink
from dfjax.data.faces.video import Frame
from dfjax.errors import UsageError

LEAST_SCORE = 0.6


def make_yunet(model_path: str | Path | None = None) -> FaceDetector:
    """Returns the detector in an ONNX file.

    Raises:
        UsageError: no file given, or not one that OpenCV reads as YuNet.
    """
    if model_path is None:
        raise UsageError("the face detector yunet needs detector_model, its ONNX file")
    if not Path(model_path).is_file():
        raise UsageError(f"no detector model at {model_path}")
    try:
        network = cv2.FaceDetectorYN.create(str(model_path), "", (320, 320), LEAST_SCORE)
    except cv2.error as error:
        raise UsageError(f"{model_path} is not a YuNet model that OpenCV reads") from error

    def detect(frame: Frame) -> Detections:
        small, scale = shrink(frame)
        network.setInputSize(small.shape[1::-1])
        _, found = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return read_faces(found, scale)

    return detect


def read_faces(found: np.ndarray | None, scale: float) -> Detections:
    """Returns the detections in OpenCV's table of faces, in pixels of the unscaled frame.

    Args:
        found: 15 numbers a face: x y w h, five points from the picture's left, score.
        scale: of the picture that they were found in.
    """
    faces = np.zeros((0, 15), np.float32) if found is None else found.astype(np.float32)
    boxes = faces[:, :4].copy()
    boxes[:, 2:] += boxes[:, :2]
    return Detections(boxes / np.float32(scale), faces[:, 4:14] / np.float32(scale), faces[:, 14])
