"""Face detectors: functions from an RGB frame to boxes (and landmarks and scores) of its faces."""

from pathlib import Path

from dfjax.data.faces.detectors.base import Detections, FaceDetector
from dfjax.data.faces.detectors.haar import CASCADE, make_haar
from dfjax.data.faces.detectors.mtcnn import make_mtcnn
from dfjax.data.faces.detectors.yunet import make_yunet
from dfjax.errors import UsageError, unknown
from dfjax.files import hash_file

__all__ = [
    "DETECTORS",
    "LANDMARK_DETECTORS",
    "Detections",
    "FaceDetector",
    "check_alignable",
    "hash_detector",
    "make_detector",
]


def make_detector(name: str, model_path: str | Path | None = None) -> FaceDetector:
    """Returns a face detector.

    Args:
        name: Name in `DETECTORS`: `haar` (OpenCV's frontal-face cascade, which needs no download),
            `yunet` (OpenCV's FaceDetectorYN with 5 landmarks; Wu et al. 2023), `mtcnn` (5
            landmarks, needs the extra `face`; Zhang et al. 2016) or `none` (finds no faces, so
            that every crop is the centre of its frame; for videos that are face crops already).
        model_path: ONNX file of YuNet, which the user must provide. Other detectors take none.

    Raises:
        UsageError: The name is unknown, a package is missing, or the model file is missing,
            unreadable or not used by this face detector.
    """
    if name not in DETECTORS:
        raise unknown("face detector", name, DETECTORS)
    if name == "yunet":
        return make_yunet(model_path)
    if model_path is not None:
        raise UsageError(f"the face detector {name} takes no model file; only yunet does")
    return DETECTORS[name]()


def hash_detector(name: str, model_path: str | Path | None = None) -> str | None:
    """Returns the SHA-256 of the model file of a face detector, or None if it has none.

    Args:
        name: Name in `DETECTORS`, or `precomputed`.
        model_path: YuNet's network, or the file of precomputed faces.
    """
    path = CASCADE if name == "haar" else model_path
    if path is None or not Path(path).is_file():
        return None
    return hash_file(path)


def check_alignable(name: str, what: str = "align") -> None:
    """Checks that a face detector gives landmarks and scores.

    Args:
        name: Name in `DETECTORS`.
        what: Setting that needs them, for the message.

    Raises:
        UsageError: The face detector gives none.
    """
    if name not in LANDMARK_DETECTORS:
        raise UsageError(
            f"{what} needs landmarks and scores, which the face detector {name} does not give; "
            f"choose {' or '.join(LANDMARK_DETECTORS)}"
        )


def _make_none() -> FaceDetector:
    return _detect_nothing


def _detect_nothing(frame: object) -> Detections:
    return Detections.none()


DETECTORS = {"haar": make_haar, "yunet": make_yunet, "mtcnn": make_mtcnn, "none": _make_none}
LANDMARK_DETECTORS = ("yunet", "mtcnn")
"""Face detectors that give a score and the five landmarks that alignment needs."""
