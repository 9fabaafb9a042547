"""Reads faces found by another program from a JSON or CSV file.

JSON: `{VIDEO: {FRAME: {"boxes": [[x0, y0, x1, y1], …], "landmarks": [[x, y, x, y, …], …],
"scores": […]}}}`, where boxes or landmarks may be missing. A list instead of the inner object is a
list of boxes. CSV: one face per line with the columns `video` (or `video_id`), `frame`, and
`x0 y0 x1 y1` or `lx0 ly0 … lx4 ly4` or both, and optionally `score`. VIDEO is the `video_id` or the
`path` in the index; FRAME counts from 0. Keys are compared but never opened as files.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from dfjax.data.faces.detectors.base import Detections, FaceDetector
from dfjax.data.faces.images import Frame
from dfjax.errors import InputError, UsageError
from dfjax.json_files import read_json
from dfjax.text_tables import find_format, match_columns, read_rows

LANDMARK_MARGIN = 0.5  # added on each side of the five landmarks, relative to their extent
FIVE_OF_68 = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))

POINTS = [f"l{axis}{k}" for k in range(5) for axis in "xy"]
COLUMNS = ("video", "video_id", "frame", "x0", "y0", "x1", "y1", *POINTS, "score")
"""Columns of a CSV file."""

Table = dict[str, dict[str, Any]]


class Precomputed:
    """Faces of a file, by video and frame."""

    def __init__(self, path: str | Path | None) -> None:
        """Reads the file.

        Raises:
            UsageError: No file is given, or it does not exist or has another format.
        """
        if path is None:
            raise UsageError("precomputed faces need detector_model, a JSON or CSV file")
        self.path = Path(path)
        if not self.path.is_file():
            raise UsageError(f"there is no file of precomputed faces at {path}")
        read = {".json": _read_json, ".csv": _read_csv}.get(self.path.suffix.lower())
        if read is None:
            raise UsageError(f"{path}: precomputed faces are a .json or a .csv file")
        self._videos = {key.replace("\\", "/"): frames for key, frames in read(self.path).items()}

    def follow(self, names: Sequence[str], indices: Sequence[int]) -> FaceDetector:
        """Returns a face detector that must be called once per frame of a video, in order.

        Args:
            names: Possible names of the video in the file.
            indices: Source frame numbers of the frames.

        Raises:
            InputError: The file does not contain the video, or its entry is invalid.
        """
        entry = next((self._videos[name] for name in names if name in self._videos), None)
        if entry is None:
            raise InputError(f"{self.path.name} has no entry for this video")
        try:
            found = iter([_make_detections(entry.get(str(index))) for index in indices])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the entry for this video in {self.path.name} is invalid: {error}"
            ) from error

        def detect(frame: Frame) -> Detections:
            del frame  # its faces were found by another program
            return next(found)

        return detect


def five_points(landmarks: Any) -> Float32[np.ndarray, "10"]:
    """Returns the five landmarks of 5, 68 or 81: eyes, nose, corners of the mouth, left first.

    Raises:
        ValueError: There is another number of landmarks, or a coordinate is not finite.
    """
    points = np.asarray(landmarks, np.float32).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a landmark is not finite")
    if len(points) in (68, 81):
        points = np.stack([points[part].mean(axis=0) for part in FIVE_OF_68])
    if len(points) != 5:
        raise ValueError(f"there are {len(points)} landmarks per face, not 5, 68 or 81")
    return points.reshape(10)


def box_around(landmarks: Float32[np.ndarray, "10"]) -> Float32[np.ndarray, "4"]:
    """Returns a box around five landmarks, enlarged by half their extent on each side."""
    points = landmarks.reshape(5, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = LANDMARK_MARGIN * (high - low).max()
    return np.concatenate([low - margin, high + margin]).astype(np.float32)


def _make_detections(entry: Any) -> Detections:
    if not entry:
        return Detections.none()
    if isinstance(entry, list):
        entry = {"boxes": entry}
    points = entry.get("landmarks")
    landmarks = None if points is None else np.stack([five_points(face) for face in points])
    if entry.get("boxes") is not None:
        boxes = np.asarray(entry["boxes"], np.float32).reshape(-1, 4)
    elif landmarks is not None:
        boxes = np.stack([box_around(face) for face in landmarks])
    else:
        raise ValueError("there are neither boxes nor landmarks")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise ValueError("a box is not x0 < x1, y0 < y1, or not finite")
    scores = entry.get("scores")
    scores = None if scores is None else np.asarray(scores, np.float32).reshape(-1)
    for part in (landmarks, scores):
        if part is not None and len(part) != len(boxes):
            raise ValueError("boxes, landmarks and scores differ in number")
    return Detections(boxes, landmarks, scores)


def _read_json(path: Path) -> Table:
    wanted = "the form is {VIDEO: {FRAME: {'boxes': …}}}"
    table = read_json(path, {str: {str: object}}, remedy=wanted)
    return {video: {_key(number): face for number, face in table[video].items()} for video in table}


def _key(frame: str) -> str:
    """Returns the number of a frame without leading zeros: 000010 becomes 10."""
    return str(int(frame)) if frame.isdecimal() else frame


def _read_csv(path: Path) -> Table:
    form = find_format(path)
    names = match_columns(form.columns, COLUMNS, name=str(path))
    try:
        faces = list(_csv_faces(row for _, row in read_rows(path, form, names)))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise UsageError(
            f"{path} is not a table of faces: {type(error).__name__} {error}"
        ) from error
    table: Table = defaultdict(dict)
    for video, frame, face in faces:
        entry = table[video].setdefault(frame, {name: [] for name in face})
        for name, values in face.items():
            entry.setdefault(name, []).append(values)
    return dict(table)


def _csv_faces(lines: Iterator[dict[str, str]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for line in lines:
        face: dict[str, Any] = {}
        if line.get("x0"):
            face["boxes"] = [float(line[name]) for name in ("x0", "y0", "x1", "y1")]
        if line.get("lx0"):
            face["landmarks"] = [float(line[name]) for name in POINTS]
        if line.get("score"):
            face["scores"] = float(line["score"])
        video = line["video_id"] if "video_id" in line else line["video"]
        yield video, str(int(line["frame"])), face
