"""Face detectors: from an RGB frame to the boxes (and landmarks, scores) of its faces."""

import hashlib
from pathlib import Path

from dfjax.data.faces.detectors.base import Detections, FaceDetector
from dfjax.data.faces.detectors.haar import CASCADE, make_haar
from dfjax.data.faces.detectors.mtcnn import make_mtcnn
from dfjax.data.faces.detectors.yunet import make_yunet
from dfjax.errors import UsageError, unknown

__all__ = [
    "DETECTORS",
    "Detections",
    "FaceDetector",
    "check_alignable",
    "hash_detector",
    "make_detector",
]


def make_detector(name: str, model_path: str | Path | None = None) -> FaceDetector:
    """Returns a face detector that looks at pixels.

    Args:
        name: an entry of `DETECTORS`: `haar` (OpenCV's frontal-face cascade, nothing to download),
            `yunet` (OpenCV's FaceDetectorYN, 5 landmarks; Wu et al. 2023), `mtcnn` (5 landmarks,
            the extra `face`; Zhang et al. 2016) or `none` (finds nothing: every crop is the
            frame's centre, for videos that are face crops already).
        model_path: the ONNX file of YuNet, which the user supplies.

    Raises:
        UsageError: unknown name, a package missing, or a model file missing, unreadable or not
            wanted.
    """
    if name not in DETECTORS:
        raise unknown("face detector", name, DETECTORS)
    if name == "yunet":
        return make_yunet(model_path)
    if model_path is not None:
        raise UsageError(f"the detector {name} takes no model file; only yunet does")
    return DETECTORS[name]()


def hash_detector(name: str, model_path: str | Path | None = None) -> str | None:
    """Returns the SHA-256 of the file that a face detector works by; None where it has none.

    Args:
        name: Entry of `DETECTORS`, or `precomputed`.
        model_path: File given to the detector: YuNet's network, or the precomputed faces.
    """
    path = CASCADE if name == "haar" else model_path
    if path is None or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_alignable(name: str, what: str = "align") -> None:
    """Raises a `UsageError` when the detector gives no landmarks and scores, which `what` needs."""
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
"""Those that give the five points that aligning needs, and a score."""
