"""Tracks faces over a video: links detections of the same person, fills gaps and smooths boxes.

Tracking uses only the geometry of boxes (x0, y0, x1, y1) in pixels.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

MAX_SHIFT = 0.75  # box sides between linked detections; a larger distance is another face
MAX_SCALE = 1.6  # ratio of box sides between linked detections
MIN_FRAGMENT = 3  # detections; shorter tracks beside the main one are false positives

Boxes = Float32[np.ndarray, "_ 4"]


Track = dict[int, int]
"""Number of the detection by number of the frame, for one person."""

Rank = Callable[[Track], Any]  # returns a number, or a tuple of numbers to break ties


class FaceTrack(NamedTuple):
    """One face of a video in the frames `first`, `first` + 1, ….

    Attributes:
        boxes: Filled and smoothed boxes.
        found: Whether the face was detected in each frame.
        chosen: Number of the detection in each frame, -1 for none.
        first: Number of the first frame.
    """

    boxes: Float32[np.ndarray, "T 4"]
    found: Bool[np.ndarray, "T"]
    chosen: list[int]
    first: int = 0


def follow_face(detections: Sequence[Boxes], rank: Rank | None = None) -> FaceTrack | None:
    """Returns the track of the highest-ranked face over all frames, or None without any face.

    Detections that follow each other are linked if their positions and sizes are similar. By
    default, the track with the largest sum of box sides ranks highest, so that a large and
    persistent face outranks a large false positive. Other tracks of at least `MIN_FRAGMENT`
    detections are merged into it if they lie in frames where it has none (because the face moved
    too fast to link, or the scene was cut). Boxes of frames without a detection are interpolated,
    and all boxes are smoothed.

    Args:
        detections: Boxes of each frame in temporal order.
        rank: Function that ranks tracks. Of equal ones, the earliest is taken. The default is
            `make_size_rank(detections)`.
    """
    tracks = _ranked(_link(detections), rank or make_size_rank(detections))
    if not tracks:
        return None
    chosen = dict(tracks[0])
    for other in tracks[1:]:
        if len(other) >= MIN_FRAGMENT and not chosen.keys() & other.keys():
            chosen |= other
    return _complete(chosen, detections, range(len(detections)))


def follow_all_faces(detections: Sequence[Boxes], rank: Rank | None = None) -> list[FaceTrack]:
    """Returns the tracks of all persistent faces, the highest-ranked first.

    Each track extends from its first to its last detection. Tracks of fewer than `MIN_FRAGMENT`
    detections count as false positives, unless the video has fewer frames.

    Args:
        detections: Boxes of each frame in temporal order.
        rank: Function that ranks tracks (see `follow_face`).
    """
    least = min(MIN_FRAGMENT, len(detections))
    tracks = [track for track in _link(detections) if len(track) >= least]
    return [
        _complete(track, detections, range(min(track), max(track) + 1))
        for track in _ranked(tracks, rank or make_size_rank(detections))
    ]


def make_size_rank(
    detections: Sequence[Boxes], shapes: Sequence[tuple[int, int]] | None = None
) -> Rank:
    """Returns the function that ranks a track by its size, persistence and centrality.

    The rank is the sum of the sides of its boxes. With `shapes`, each side is multiplied by a
    factor that falls from 1 in the middle of the picture to 1/2 in its corners.

    Args:
        detections: Boxes of each frame, which tracks refer to by number.
        shapes: Height and width of every frame, or None to ignore centrality.
    """

    def rank(track: Track) -> float:
        return sum(
            _side(detections[t][n]) * (1.0 if shapes is None else _centrality(box, shapes[t]))
            for t, n in track.items()
            for box in (detections[t][n],)
        )

    return rank


def _centrality(box: np.ndarray, shape: tuple[int, int]) -> float:
    """Returns a factor that falls from 1 in the middle of the picture to 1/2 in its corners."""
    height, width = shape
    x, y = (box[0] + box[2]) / width - 1, (box[1] + box[3]) / height - 1
    return float(1 - min(1.0, np.hypot(x, y) / np.sqrt(2)) / 2)


def _ranked(tracks: list[Track], rank: Rank) -> list[Track]:
    return sorted(tracks, key=rank, reverse=True)  # stable: the earliest of equals stays first


def _complete(chosen: Track, detections: Sequence[Boxes], frames: range) -> FaceTrack:
    index = [chosen.get(t, -1) for t in frames]
    found = np.array([n >= 0 for n in index])
    boxes = np.full((len(index), 4), np.nan, np.float32)
    for place, (t, n) in enumerate(zip(frames, index)):
        if n >= 0:
            boxes[place] = detections[t][n]
    return FaceTrack(smooth_boxes(fill_boxes(boxes, found)), found, index, frames.start)


def fill_boxes(
    boxes: Float32[np.ndarray, "T K"], found: Bool[np.ndarray, "T"]
) -> Float32[np.ndarray, "T K"]:
    """Returns boxes (or points) with missing ones interpolated linearly.

    Before the first and after the last found box, that box is repeated.

    Args:
        boxes: Coordinates in every frame.
        found: Which frames have valid coordinates.

    Raises:
        ValueError: No frame has valid coordinates.
    """
    if not found.any():
        raise ValueError("nothing to interpolate from: no box was found")
    frames = np.arange(len(boxes))
    columns = [np.interp(frames, frames[found], boxes[found, k]) for k in range(boxes.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


def smooth_boxes(boxes: Float32[np.ndarray, "T 4"]) -> Float32[np.ndarray, "T 4"]:
    """Returns square boxes with smoothed centres and sides, without the jitter of detection.

    A running median over 3 frames removes single outliers. A running mean with weights (1, 2, 1)/4
    follows. Both are symmetric and the ends are extended by point reflection, so that there is no
    lag behind a face that moves or grows steadily.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    track = np.concatenate([centre, side], axis=1)
    if len(track) > 2:
        track = np.median(_neighbours(track), axis=0)
        track = np.average(_neighbours(track), axis=0, weights=(1, 2, 1))
    half = track[:, 2:] / 2
    return np.concatenate([track[:, :2] - half, track[:, :2] + half], axis=1).astype(np.float32)


def _neighbours(track: np.ndarray) -> np.ndarray:
    padded = np.pad(track, ((1, 1), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([padded[:-2], padded[1:-1], padded[2:]])


def _link(detections: Sequence[Boxes]) -> list[Track]:
    """Returns tracks as {frame: detection}; the nearest pairs are linked first."""
    tracks: list[Track] = []
    last: list[np.ndarray] = []
    for t, boxes in enumerate(detections):
        pairs = sorted(
            (shift, k, n)
            for k, seen in enumerate(last)
            for n, box in enumerate(boxes)
            if (shift := _shift(seen, box)) <= MAX_SHIFT
        )
        free = set(range(len(boxes)))
        for _, k, n in pairs:
            if n in free and t not in tracks[k]:
                free.remove(n)
                tracks[k][t] = n
                last[k] = boxes[n]
        for n in sorted(free):
            tracks.append({t: n})
            last.append(boxes[n])
    return tracks


def _shift(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the distance of two boxes' centres in mean sides, or infinity if sizes differ."""
    small, large = sorted((_side(a), _side(b)))
    if large > MAX_SCALE * small:
        return float("inf")
    distance = np.linalg.norm((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2)
    return float(2 * distance / (small + large))


def _side(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))
