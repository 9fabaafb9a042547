"""Face crops of frames: detect, follow one face, cut out squares around it."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from dfjax.data.face_track import follow_face
from dfjax.data.video import Frame
from dfjax.errors import UsageError, unknown

DETECTORS = ("haar", "yunet", "none")
LONGEST_SIDE = 640  # pixels of the copy that detection runs on
YUNET_SCORE = 0.6


class Detections(NamedTuple):
    """The faces of one frame, in its pixels; landmarks are x0 y0 … x4 y4, where there are any."""

    boxes: Float32[np.ndarray, "N 4"]
    landmarks: Float32[np.ndarray, "N 10"] | None = None


FaceDetector = Callable[[Frame], Detections]  # an RGB frame to its faces, in its pixels


class FacePath(NamedTuple):
    """Where the face is in every frame of a video."""

    boxes: Float32[np.ndarray, "T 4"]  # xyxy pixels, square, smoothed, without margin
    found: Bool[np.ndarray, "T"]  # False: interpolated, or part of the fallback
    fallback: bool  # no face anywhere: the boxes are the frames' centre squares
    landmarks: list[list[float] | None] | None


class FaceCrops(NamedTuple):
    """Square crops of one face, and where they come from."""

    crops: UInt8[np.ndarray, "T S S 3"]
    boxes: Float32[np.ndarray, "T 4"]
    found: Bool[np.ndarray, "T"]
    fallback: bool
    landmarks: list[list[float] | None] | None = None


def make_detector(name: str, model_path: str | Path | None = None) -> FaceDetector:
    """Returns a face detector.

    Args:
        name: `haar` (OpenCV's frontal-face cascade, nothing to download), `yunet` (OpenCV's
            FaceDetectorYN, 5 landmarks; Wu et al. 2023) or `none` (finds nothing: every crop is
            the frame's centre, for videos that are face crops already).
        model_path: the ONNX file of YuNet, which the user supplies.

    Raises:
        UsageError: unknown name, or a model file missing, unreadable or not wanted.
    """
    if name not in DETECTORS:
        raise unknown("face detector", name, DETECTORS)
    if name == "yunet":
        return _make_yunet(model_path)
    if model_path is not None:
        raise UsageError(f"the detector {name} takes no model file; only yunet does")
    return _make_haar() if name == "haar" else _detect_nothing


def crop_faces(
    frames: Sequence[Frame], detector: FaceDetector, *, size: int, margin: float = 1.3
) -> FaceCrops:
    """Returns a square crop per frame of the largest face that is seen consistently.

    Args:
        frames: u8 RGB frames of one video, in order of time.
        detector: from `make_detector`.
        size: side of the crops, pixels.
        margin: side of the region cut out, in sides of the face's box. What lies outside the
            frame repeats its border.
    """
    path = locate_face(frames, detector)
    crops = [cut(frame, box, path, size, margin) for frame, box in zip(frames, path.boxes)]
    return FaceCrops(np.stack(crops), *path)


def locate_face(frames: Iterable[Frame], detector: FaceDetector) -> FacePath:
    """Returns where the face is in each frame; needs one frame in memory at a time.

    Raises:
        ValueError: there are no frames.
    """
    shapes, detections = [], []
    for frame in frames:
        shapes.append(frame.shape[:2])
        detections.append(detector(frame))
    if not shapes:
        raise ValueError("no frames to look for a face in")
    track = follow_face([d.boxes for d in detections])
    if track is None:
        boxes = np.array([_centre_square(h, w) for h, w in shapes], np.float32)
        return FacePath(boxes, np.zeros(len(boxes), bool), True, None)
    landmarks = None
    if any(d.landmarks is not None for d in detections):
        landmarks = [
            d.landmarks[n].tolist() if n >= 0 and d.landmarks is not None else None
            for d, n in zip(detections, track.chosen)
        ]
    return FacePath(track.boxes, track.found, False, landmarks)


def cut(
    frame: Frame, box: Float32[np.ndarray, "4"], path: FacePath, size: int, margin: float
) -> UInt8[np.ndarray, "S S 3"]:
    """Returns the crop around `box`; the fallback's centre square is taken without margin."""
    return cut_square(frame, box, size=size, margin=1.0 if path.fallback else margin)


def cut_square(
    frame: Frame, box: Float32[np.ndarray, "4"], *, size: int, margin: float
) -> UInt8[np.ndarray, "size size 3"]:
    """Returns the square of `margin` box sides around the box, scaled to `size` pixels.

    Beyond the frame its border is repeated. Shrinking averages areas, enlarging is cubic.
    """
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = (float(v) for v in box)
    side = max(1, round(max(x1 - x0, y1 - y0) * margin))
    left = round(min(max((x0 + x1) / 2, 0), width) - side / 2)
    top = round(min(max((y0 + y1) / 2, 0), height) - side / 2)
    right, bottom = left + side, top + side
    inside = frame[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    square = cv2.copyMakeBorder(
        inside,
        max(-top, 0),
        max(bottom - height, 0),
        max(-left, 0),
        max(right - width, 0),
        cv2.BORDER_REPLICATE,
    )
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=method)


def _centre_square(height: int, width: int) -> tuple[float, float, float, float]:
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return float(left), float(top), float(left + side), float(top + side)


def _shrunk(frame: Frame) -> tuple[UInt8[np.ndarray, "h w 3"], float]:
    """Returns a copy of at most `LONGEST_SIDE` pixels, and its scale."""
    height, width = frame.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    if scale == 1.0:
        return frame, scale
    shape = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    return cv2.resize(frame, shape, interpolation=cv2.INTER_AREA), scale


def _detect_nothing(frame: Frame) -> Detections:
    return Detections(np.zeros((0, 4), np.float32))


def _make_haar() -> FaceDetector:
    folder = Path(cv2.__file__).parent / "data"
    cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
    if cascade.empty():
        raise UsageError(
            f"this OpenCV ({cv2.__version__}) has no cascades; install opencv-python<5"
        )

    def detect(frame: Frame) -> Detections:
        small, scale = _shrunk(frame)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        least = max(24, min(gray.shape) // 10)
        found = cascade.detectMultiScale(gray, 1.1, 5, minSize=(least, least))
        boxes = np.asarray(found, np.float32).reshape(-1, 4)  # x y w h
        boxes[:, 2:] += boxes[:, :2]
        return Detections(boxes / np.float32(scale))

    return detect


def _make_yunet(model_path: str | Path | None) -> FaceDetector:
    if model_path is None:
        raise UsageError("the detector yunet needs --detector-model FILE, its ONNX file")
    if not Path(model_path).is_file():
        raise UsageError(f"no detector model at {model_path}")
    try:
        network = cv2.FaceDetectorYN.create(str(model_path), "", (320, 320), YUNET_SCORE)
    except cv2.error as error:
        raise UsageError(f"{model_path} is not a YuNet model that OpenCV reads") from error

    def detect(frame: Frame) -> Detections:
        small, scale = _shrunk(frame)
        network.setInputSize(small.shape[1::-1])
        _, found = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        # 15 numbers a face: x y w h, five points, score
        faces = np.zeros((0, 15), np.float32) if found is None else found.astype(np.float32)
        boxes = faces[:, :4].copy()
        boxes[:, 2:] += boxes[:, :2]
        return Detections(boxes / np.float32(scale), faces[:, 4:14] / np.float32(scale))

    return detect
