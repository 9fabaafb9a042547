"""YuNet face detector (Wu et al. 2023) by OpenCV: boxes, landmarks and scores."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.detectors.base import Detections, FaceDetector, shrink
from dfjax.data.faces.detectors.model_files import find_files
from dfjax.data.faces.images import Frame
from dfjax.errors import UsageError
from dfjax.user_cache import user_cache

LEAST_SCORE = 0.6
FETCHED = "yunet.onnx"  # in the user's cache folder, from `dfjax.weights.fetch`
REMEDY = "the face detector yunet needs its ONNX file: `dfjax weights fetch yunet` downloads it"


def find_yunet(model_path: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the file of the network.

    Args:
        model_path: ONNX file; None is the one that was fetched.

    Raises:
        UsageError: There is none.
    """
    path = user_cache("weights") / FETCHED if model_path is None else Path(model_path)
    return find_files(path.parent, (path.name,), REMEDY)


def make_yunet(files: Sequence[Path]) -> FaceDetector:
    """Returns the face detector of an ONNX file.

    Args:
        files: ONNX file of YuNet.

    Raises:
        UsageError: OpenCV cannot read it as YuNet.
    """
    try:
        network = cv2.FaceDetectorYN.create(str(files[0]), "", (320, 320), LEAST_SCORE)
    except cv2.error as error:
        raise UsageError(f"{files[0]} is not a YuNet model that OpenCV reads") from error

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
