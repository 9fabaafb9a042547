"""OpenCV's cascade of Haar features (Viola and Jones 2001): boxes of frontal faces."""

from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.detectors.base import Detections, FaceDetector, shrink
from dfjax.data.faces.images import Frame
from dfjax.errors import UsageError

CASCADE = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"


def make_haar() -> FaceDetector:
    """Returns the face detector of OpenCV's `haarcascade_frontalface_alt2`.

    Raises:
        UsageError: The installed OpenCV has no cascades.
    """
    cascade = cv2.CascadeClassifier(str(CASCADE))
    if cascade.empty():
        raise UsageError(
            f"this OpenCV ({cv2.__version__}) has no cascades; install opencv-python<5"
        )

    def detect(frame: Frame) -> Detections:
        small, scale = shrink(frame)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        least = max(24, min(gray.shape) // 10)
        found = cascade.detectMultiScale(gray, 1.1, 5, minSize=(least, least))
        boxes = np.asarray(found, np.float32).reshape(-1, 4)  # x y w h
        boxes[:, 2:] += boxes[:, :2]
        return Detections(boxes / np.float32(scale))

    return detect
