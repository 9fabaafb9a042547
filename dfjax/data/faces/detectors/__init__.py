"""Face detectors: functions from an RGB frame to boxes (and landmarks and scores) of its faces."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from dfjax.data.faces.detectors.base import Detections, FaceDetector
from dfjax.data.faces.detectors.blazeface import find_blazeface, make_blazeface
from dfjax.data.faces.detectors.facemesh import find_facemesh, make_facemesh
from dfjax.data.faces.detectors.haar import CASCADE, make_haar
from dfjax.data.faces.detectors.mtcnn import MIN_FACE, find_mtcnn, make_mtcnn
from dfjax.data.faces.detectors.yunet import find_yunet, make_yunet
from dfjax.errors import UsageError, unknown
from dfjax.files import hash_file

__all__ = [
    "DETECTORS",
    "LANDMARK_DETECTORS",
    "MIN_FACE",
    "Detections",
    "FaceDetector",
    "check_alignable",
    "find_model_files",
    "hash_detector",
    "make_detector",
]


def make_detector(
    name: str, model_path: str | Path | None = None, *, min_face: int | None = None
) -> FaceDetector:
    """Returns a face detector.

    Args:
        name: Name in `DETECTORS`: `haar` (OpenCV's frontal-face cascade, which needs no download),
            `yunet` (OpenCV's FaceDetectorYN; Wu et al. 2023), `mtcnn` (Zhang et al. 2016),
            `blazeface` (Bazarevsky et al. 2019), `facemesh` (BlazeFace with 468 landmarks;
            Kartynnik et al. 2019) or `none` (finds no faces, so that every crop is the centre of
            its frame; for videos that are face crops already).
        model_path: Model file, or folder of model files; None for those that were fetched or
            installed. `haar` and `none` take none.
        min_face: Side of the smallest face that `mtcnn` finds, in pixels of a frame whose longest
            side is at most 640; None is 40.

    Raises:
        UsageError: The name is unknown, or a model file is missing, unreadable or not used by this
            face detector.
    """
    if name not in DETECTORS:
        raise unknown("face detector", name, DETECTORS)
    if min_face is not None and name != "mtcnn":
        raise UsageError(f"min_face is a setting of the face detector mtcnn, not of {name}")
    if name == "mtcnn":
        return make_mtcnn(find_mtcnn(model_path), min_face or MIN_FACE)
    if name in MODEL_FILES:
        return DETECTORS[name](find_model_files(name, model_path))
    if model_path is not None:
        raise UsageError(
            f"the face detector {name} takes no model file; {', '.join(MODEL_FILES)} do"
        )
    return DETECTORS[name]()


def find_model_files(name: str, model_path: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the model files of a face detector, none for one without.

    Args:
        name: Name in `DETECTORS`.
        model_path: Model file, or folder of model files; None for those that were fetched or
            installed.

    Raises:
        UsageError: They are missing; the message says how to get them.
    """
    return MODEL_FILES[name](model_path) if name in MODEL_FILES else ()


def hash_detector(name: str, model_path: str | Path | None = None) -> str | None:
    """Returns the SHA-256 of the model of a face detector, or None if it has none.

    It is that of its file; several files give the SHA-256 of the lines `HASH NAME`.

    Args:
        name: Name in `DETECTORS`, or `precomputed`.
        model_path: As in `find_model_files`, or the file of precomputed faces.
    """
    if name == "haar":
        files: Sequence[Path] = (CASCADE,)
    elif name == "precomputed":
        files = () if model_path is None else (Path(model_path),)
    else:
        try:
            files = find_model_files(name, model_path)
        except UsageError:
            return None
    if not files or not all(file.is_file() for file in files):
        return None
    if len(files) == 1:
        return hash_file(files[0])
    lines = "".join(f"{hash_file(file)} {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


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


DETECTORS: dict[str, Callable[..., FaceDetector]] = {
    "haar": make_haar,
    "yunet": make_yunet,
    "mtcnn": make_mtcnn,
    "blazeface": make_blazeface,
    "facemesh": make_facemesh,
    "none": _make_none,
}
MODEL_FILES: dict[str, Callable[[str | Path | None], tuple[Path, ...]]] = {
    "yunet": find_yunet,
    "mtcnn": find_mtcnn,
    "blazeface": find_blazeface,
    "facemesh": find_facemesh,
}
"""Functions from a model path, or None, to the model files of a face detector."""

LANDMARK_DETECTORS = tuple(MODEL_FILES)
"""Face detectors that give a score and the five landmarks that alignment needs."""
