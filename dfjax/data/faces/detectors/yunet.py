"""YuNet face detector (Wu et al. 2023) by OpenCV: boxes, landmarks and scores."""

from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.detectors.base import Detections, FaceDetector, shrink
from dfjax.data.faces.images import Frame
from dfjax.errors import UsageError

LEAST_SCORE = 0.6


def make_yunet(model_path: str | Path | None = None) -> FaceDetector:
    """Returns the face detector of an ONNX file.

    Args:
        model_path: ONNX file of YuNet, which the user must provide.

    Raises:
        UsageError: No file is given, or OpenCV cannot read it as YuNet.
    """
    if model_path is None:
        raise UsageError("the face detector yunet needs a model file, YuNet's ONNX file")
    if not Path(model_path).is_file():
        raise UsageError(f"there is no model file of the face detector at {model_path}")
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
    """Returns the detections of OpenCV's result in pixels of the frame before downsampling.

    Args:
        found: 15 numbers per face: x y w h, five landmarks with the left ones of the picture
            first, score.
        scale: Size of the frame that YuNet has processed, relative to the original.
    """
    faces = np.zeros((0, 15), np.float32) if found is None else found.astype(np.float32)
    boxes = faces[:, :4].copy()
    boxes[:, 2:] += boxes[:, :2]
    return Detections(boxes / np.float32(scale), faces[:, 4:14] / np.float32(scale), faces[:, 14])
