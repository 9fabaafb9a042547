"""Face crops of frames: detect, follow faces, cut out squares around them."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from dfjax.data.faces.alignment import align_face, align_points, fill_landmarks
from dfjax.data.faces.detectors import Detections, FaceDetector
from dfjax.data.faces.tracks import (
    Boxes,
    FaceTrack,
    Rank,
    follow_all_faces,
    follow_face,
    make_size_rank,
)
from dfjax.data.faces.video import Frame
from dfjax.errors import InputError

Shapes = list[tuple[int, int]]
MakeRank = Callable[[Sequence[Boxes], Shapes], Rank]
"""From the boxes and the (height, width) of all frames to the rank of a track."""


class FacePath(NamedTuple):
    """Where one face is in the frames `first`, `first` + 1, … of those that were looked at."""

    boxes: Float32[np.ndarray, "T 4"]  # xyxy pixels, square, smoothed, without margin
    found: Bool[np.ndarray, "T"]  # False: interpolated, or part of the fallback
    fallback: bool  # no face anywhere: the boxes are the frames' centre squares
    landmarks: list[list[float] | None] | None = None
    scores: list[float | None] | None = None
    first: int = 0


class FaceCrops(NamedTuple):
    """Square crops of one face, and where they come from; the fields of `FacePath` follow."""

    crops: UInt8[np.ndarray, "T S S 3"]
    boxes: Float32[np.ndarray, "T 4"]
    found: Bool[np.ndarray, "T"]
    fallback: bool
    landmarks: list[list[float] | None] | None = None
    scores: list[float | None] | None = None
    first: int = 0
    crop_landmarks: list[list[float] | None] | None = None  # in pixels of the crop


class Cutting(NamedTuple):
    """How crops are cut: their side in pixels, the margin around a face, and whether aligned."""

    size: int
    margin: float = 1.3
    align: bool = False


def crop_faces(
    frames: Sequence[Frame],
    detector: FaceDetector,
    *,
    size: int,
    margin: float = 1.3,
    align: bool = False,
) -> FaceCrops:
    """Returns a square crop per frame of the face that is large, lasts and is central.

    Args:
        frames: u8 RGB frames of one video, in order of time.
        detector: from `make_detector`.
        size: side of the crops, pixels.
        margin: side of the region cut out, in sides of the face's box (aligned: of the standard
            tight crop). What lies outside the frame repeats its border.
        align: turn faces upright by their landmarks.

    Raises:
        InputError: faces without landmarks cannot be aligned.
    """
    paths = locate_faces(frames, detector)
    return cut_faces(frames, paths, Cutting(size, margin, align))[0]


def locate_faces(
    frames: Iterable[Frame],
    detector: FaceDetector,
    *,
    every: bool = False,
    make_rank: MakeRank = make_size_rank,
) -> list[FacePath]:
    """Returns where faces are in the frames, of which one at a time is in memory.

    Without any face, that is one path, of the frames' centre squares.

    Args:
        frames: in order of time.
        detector: from `make_detector`.
        every: all faces that last, instead of one that ranks highest.
        make_rank: what decides which face that is, and the order of all.

    Raises:
        ValueError: there are no frames.
    """
    shapes: Shapes = []
    detections: list[Detections] = []
    for frame in frames:
        shapes.append(frame.shape[:2])
        detections.append(detector(frame))
    if not shapes:
        raise ValueError("no frames to look for a face in")
    found = [d.boxes for d in detections]
    rank = make_rank(found, shapes)
    tracks = follow_all_faces(found, rank) if every else []
    if not tracks:  # or what lasts is too short to be sure of: then the best of it
        track = follow_face(found, rank)
        tracks = [track] if track else []
    if tracks:
        return [_make_path(track, detections) for track in tracks]
    boxes = np.array([_centre_square(h, w) for h, w in shapes], np.float32)
    return [FacePath(boxes, np.zeros(len(boxes), bool), True)]


def _make_path(track: FaceTrack, detections: Sequence[Detections]) -> FacePath:
    landmarks: list[list[float] | None] = []
    scores: list[float | None] = []
    for d, n in zip(detections[track.first :], track.chosen):
        seen = n >= 0
        landmarks.append(d.landmarks[n].tolist() if seen and d.landmarks is not None else None)
        scores.append(round(float(d.scores[n]), 4) if seen and d.scores is not None else None)
    return FacePath(
        track.boxes,
        track.found,
        False,
        landmarks if any(points is not None for points in landmarks) else None,
        scores if any(score is not None for score in scores) else None,
        track.first,
    )


def cut_faces(frames: Iterable[Frame], paths: Sequence[FacePath], how: Cutting) -> list[FaceCrops]:
    """Returns the crops of every path; one frame at a time is in memory.

    The centre squares of a video without any face are taken without margin.

    Raises:
        InputError: faces without landmarks cannot be aligned.
    """
    points = [_points_to_align(path) if how.align else None for path in paths]
    crops: list[list[np.ndarray]] = [[] for _ in paths]
    seen: list[list[list[float] | None]] = [[] for _ in paths]
    for number, frame in enumerate(frames):
        for path, landmarks, cut, where in zip(paths, points, crops, seen):
            place = number - path.first
            if not 0 <= place < len(path.boxes):
                continue
            if landmarks is not None:
                crop = align_face(frame, landmarks[place], size=how.size, margin=how.margin)
            else:
                margin = 1.0 if path.fallback else how.margin
                crop = cut_square(frame, path.boxes[place], size=how.size, margin=margin)
            cut.append(crop)
            where.append(_find_in_crop(path, place, how, frame.shape[:2]))
    return [
        FaceCrops(np.stack(cut), *path, None if path.landmarks is None else where)
        for cut, path, where in zip(crops, paths, seen)
    ]


def _find_in_crop(
    path: FacePath, place: int, how: Cutting, shape: tuple[int, int]
) -> list[float] | None:
    """Where the landmarks of a frame are in its crop: x0 y0 x1 y1 …, or None."""
    points = path.landmarks[place] if path.landmarks else None
    if points is None:
        return None
    if how.align:
        found = align_points(np.array(points), size=how.size, margin=how.margin)
    else:
        left, top, side = find_square(path.boxes[place], shape, how.margin)
        # Pixels are squares: the centre of the first one is at 0.5 from the edge.
        corner = np.array([left, top])
        found = (np.reshape(points, (-1, 2)) + 0.5 - corner) * (how.size / side) - 0.5
    return [round(float(value), 2) for value in found.reshape(-1)]


def _points_to_align(path: FacePath) -> Float32[np.ndarray, "T 10"] | None:
    if path.fallback:
        return None
    if path.landmarks is None:
        raise InputError("its faces have no landmarks, which aligning needs")
    return fill_landmarks(path.landmarks)


def cut_square(
    frame: Frame, box: Float32[np.ndarray, "4"], *, size: int, margin: float
) -> UInt8[np.ndarray, "size size 3"]:
    """Returns the square of `margin` box sides around the box, scaled to `size` pixels.

    Beyond the frame its border is repeated. Shrinking averages areas, enlarging is cubic.
    """
    height, width = frame.shape[:2]
    left, top, side = find_square(box, (height, width), margin)
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


def find_square(
    box: Float32[np.ndarray, "4"], shape: tuple[int, int], margin: float
) -> tuple[int, int, int]:
    """Returns left, top and side of the square of `margin` box sides around a box, in pixels.

    Its centre is in the frame, of `shape` height and width; the square may reach beyond.
    """
    height, width = shape
    x0, y0, x1, y1 = (float(v) for v in box)
    side = max(1, round(max(x1 - x0, y1 - y0) * margin))
    left = round(min(max((x0 + x1) / 2, 0), width) - side / 2)
    top = round(min(max((y0 + y1) / 2, 0), height) - side / 2)
    return left, top, side


def _centre_square(height: int, width: int) -> tuple[float, float, float, float]:
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return float(left), float(top), float(left + side), float(top + side)
