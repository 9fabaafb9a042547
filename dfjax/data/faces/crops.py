"""Makes face crops of frames: detects faces, tracks them and crops squares around them."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from dfjax.data.faces.alignment import align_face, align_points, fill_landmarks
from dfjax.data.faces.detectors import Detections, FaceDetector
from dfjax.data.faces.detectors.facemesh import outline_of
from dfjax.data.faces.images import Frame
from dfjax.data.faces.tracks import (
    Boxes,
    FaceTrack,
    Rank,
    follow_all_faces,
    follow_face,
    make_size_rank,
)
from dfjax.errors import InputError

Shapes = list[tuple[int, int]]
MakeRank = Callable[[Sequence[Boxes], Shapes], Rank]
"""Function from the boxes and the (height, width) of all frames to a function that ranks tracks."""


class FacePath(NamedTuple):
    """Positions of one face in the frames `first`, `first` + 1, … of those searched."""

    boxes: Float32[np.ndarray, "T 4"]  # xyxy pixels, square, smoothed, without margin
    found: Bool[np.ndarray, "T"]  # False: interpolated, or part of the fallback
    fallback: bool  # True: no face was found, and the boxes are the frames' centre squares
    landmarks: list[list[float] | None] | None = None
    scores: list[float | None] | None = None
    first: int = 0
    outline: list[list[float] | None] | None = None  # x0 y0 … of a face mesh, around the face


class FaceCrops(NamedTuple):
    """Square crops of one face, followed by the fields of its `FacePath` but for the outline."""

    crops: UInt8[np.ndarray, "T S S 3"]
    boxes: Float32[np.ndarray, "T 4"]
    found: Bool[np.ndarray, "T"]
    fallback: bool
    landmarks: list[list[float] | None] | None = None
    scores: list[float | None] | None = None
    first: int = 0
    crop_landmarks: list[list[float] | None] | None = None  # in pixels of the crop


class Cutting(NamedTuple):
    """Settings of cropping.

    Attributes:
        size: Side of the crops in pixels.
        margin: Side of the cropped region relative to the face's box. For aligned faces, it is
            relative to the tight crop of the template.
        align: Whether faces are aligned by their landmarks.
    """

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
    """Returns one square crop per frame of the main face: large, persistent and central.

    Args:
        frames: u8 RGB frames of one video in temporal order.
        detector: Face detector (see `make_detector`).
        size: Side of the crops in pixels.
        margin: Side of the cropped region relative to the face's box (for aligned faces, to the
            tight crop of the template). Beyond the frame its border is repeated.
        align: Whether faces are aligned by their landmarks.

    Raises:
        InputError: Alignment is requested but the faces have no landmarks.
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
    """Returns the paths of faces through the frames. One frame at a time is in memory.

    If no frame has a face, the result is one path of the frames' centre squares.

    Args:
        frames: Frames in temporal order.
        detector: Face detector (see `make_detector`).
        every: Whether to return all persistent faces instead of the face that ranks highest.
        make_rank: Function that makes the ranking of tracks, which selects and orders faces.

    Raises:
        ValueError: There are no frames.
    """
    shapes: Shapes = []
    detections: list[Detections] = []
    for frame in frames:
        shapes.append(frame.shape[:2])
        detections.append(detector(frame))
    if not shapes:
        raise ValueError("there are no frames to search for faces")
    found = [d.boxes for d in detections]
    rank = make_rank(found, shapes)
    tracks = follow_all_faces(found, rank) if every else []
    if not tracks:  # also if all tracks are too short to be reliable: take the best one
        track = follow_face(found, rank)
        tracks = [track] if track else []
    if tracks:
        return [_make_path(track, detections) for track in tracks]
    boxes = np.array([_centre_square(h, w) for h, w in shapes], np.float32)
    return [FacePath(boxes, np.zeros(len(boxes), bool), True)]


def _make_path(track: FaceTrack, detections: Sequence[Detections]) -> FacePath:
    landmarks: list[list[float] | None] = []
    scores: list[float | None] = []
    outline: list[list[float] | None] = []
    for d, n in zip(detections[track.first :], track.chosen):
        seen = n >= 0
        outline.append(outline_of(d.mesh[n]) if seen and d.mesh is not None else None)
        landmarks.append(d.landmarks[n].tolist() if seen and d.landmarks is not None else None)
        scores.append(round(float(d.scores[n]), 4) if seen and d.scores is not None else None)
    return FacePath(
        track.boxes,
        track.found,
        False,
        landmarks if any(points is not None for points in landmarks) else None,
        scores if any(score is not None for score in scores) else None,
        track.first,
        outline if any(points is not None for points in outline) else None,
    )


def cut_faces(frames: Iterable[Frame], paths: Sequence[FacePath], how: Cutting) -> list[FaceCrops]:
    """Returns the crops of every path. One frame at a time is in memory.

    The centre squares of a video without faces are cropped without margin.

    Args:
        frames: Frames in temporal order, the same as those of the paths.
        paths: Paths of faces (see `locate_faces`).
        how: Settings of cropping.

    Raises:
        InputError: Alignment is requested but a face has no landmarks.
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
        FaceCrops(np.stack(cut), *path[:-1], None if path.landmarks is None else where)
        for cut, path, where in zip(crops, paths, seen)
    ]


def _find_in_crop(
    path: FacePath, place: int, how: Cutting, shape: tuple[int, int]
) -> list[float] | None:
    """Returns the outline or landmarks of a frame in pixels of its crop, x0 y0 x1 y1 …, or None."""
    five = path.landmarks[place] if path.landmarks else None
    if five is None:
        return None
    outline = path.outline[place] if path.outline else None
    points = np.reshape(np.array(five if outline is None else outline), (-1, 2))
    if how.align:
        found = align_points(points, np.array(five), size=how.size, margin=how.margin)
    else:
        left, top, side = find_square(path.boxes[place], shape, how.margin)
        # Pixels are areas: the centre of the first one is 0.5 from the edge.
        corner = np.array([left, top])
        found = (points + 0.5 - corner) * (how.size / side) - 0.5
    return [round(float(value), 2) for value in found.reshape(-1)]


def _points_to_align(path: FacePath) -> Float32[np.ndarray, "T 10"] | None:
    if path.fallback:
        return None
    if path.landmarks is None:
        raise InputError("its faces have no landmarks, which alignment needs")
    return fill_landmarks(path.landmarks)


def cut_square(
    frame: Frame, box: Float32[np.ndarray, "4"], *, size: int, margin: float
) -> UInt8[np.ndarray, "size size 3"]:
    """Returns the square around a box, resized to `size` pixels.

    Beyond the frame its border is repeated. Downsampling averages areas, upsampling is bicubic.

    Args:
        frame: Frame of a video.
        box: x0 y0 x1 y1 in pixels.
        size: Side of the crop in pixels.
        margin: Side of the square relative to the longer side of the box.
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
    """Returns the left and top edge and the side of the square around a box, in pixels.

    The centre of the square is inside of the frame; the square may extend beyond it.

    Args:
        box: x0 y0 x1 y1 in pixels.
        shape: Height and width of the frame.
        margin: Side of the square relative to the longer side of the box.
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
