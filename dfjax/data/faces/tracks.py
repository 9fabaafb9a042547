"""Faces followed over a video: which detections are the same person, filled and smoothed.

Plain geometry on boxes (x0, y0, x1, y1) in pixels; no detector, no pixels.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

MAX_SHIFT = 0.75  # between sightings, in box sides: farther is another face
MAX_SCALE = 1.6  # ratio of box sides between sightings
MIN_FRAGMENT = 3  # sightings; shorter pieces beside the main track are false alarms

Boxes = Float32[np.ndarray, "_ 4"]


Track = dict[int, int]
"""Number of the detection by number of the frame, of one person."""

Rank = Callable[[Track], Any]  # a number, or a tuple of numbers: the later decide between equals


class FaceTrack(NamedTuple):
    """One face of a video in frames `first`, `first` + 1 and so on.

    `chosen` is the detection taken in each of these frames, -1 for none.
    """

    boxes: Float32[np.ndarray, "T 4"]
    found: Bool[np.ndarray, "T"]
    chosen: list[int]
    first: int = 0


def follow_face(detections: Sequence[Boxes], rank: Rank | None = None) -> FaceTrack | None:
    """Returns the face that ranks highest, in all frames; None where no frame has any.

    Detections of consecutive sightings are linked when they are near each other in place and size;
    by default the track with the largest sum of box sides wins, so a face that is large and lasts
    beats one large false alarm. Pieces of at least `MIN_FRAGMENT` sightings that lie in frames
    where the winner is missing (it moved too fast to link, or the scene was cut) are taken over.
    Frames left without a face are interpolated, and the boxes smoothed.

    Args:
        detections: the boxes found in each frame, in order of time.
        rank: of a track; the highest wins, the earliest of equals.
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
    """Returns every face that lasts, the highest ranked first, from its first to its last sighting.

    Tracks of fewer than `MIN_FRAGMENT` sightings are false alarms, unless there are fewer frames.

    Args:
        detections: as in `follow_face`.
        rank: as in `follow_face`.
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
    """Returns the rank of a track by size, persistence and centrality: a sum over its sightings.

    Each counts the side of its box; with `shapes` given, as much as that in the middle of the
    picture and half as much in its corners.

    Args:
        detections: the boxes that tracks count.
        shapes: (height, width) of every frame.
    """

    def rank(track: Track) -> float:
        return sum(
            _side(detections[t][n]) * (1.0 if shapes is None else _centrality(box, shapes[t]))
            for t, n in track.items()
            for box in (detections[t][n],)
        )

    return rank


def _centrality(box: np.ndarray, shape: tuple[int, int]) -> float:
    """Returns 1 in the middle of the picture, falling with the distance to 1/2 in its corners."""
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
    """Returns boxes (or points) with those not found interpolated linearly; held before and after.

    Raises:
        ValueError: no box is found.
    """
    if not found.any():
        raise ValueError("nothing to interpolate from: no box was found")
    frames = np.arange(len(boxes))
    columns = [np.interp(frames, frames[found], boxes[found, k]) for k in range(boxes.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


def smooth_boxes(boxes: Float32[np.ndarray, "T 4"]) -> Float32[np.ndarray, "T 4"]:
    """Returns square boxes whose centre and side are freed of detector jitter.

    A running median over 3 frames removes single outliers, then weights (1, 2, 1)/4 average.
    Both are symmetric and the ends are continued point-symmetrically, so a face that moves or
    grows steadily is followed without lag.
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
    """Returns tracks as {frame: detection}, linking the nearest pairs first."""
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
    """Returns the distance of two boxes' centres in mean sides; infinite if sizes differ a lot."""
    small, large = sorted((_side(a), _side(b)))
    if large > MAX_SCALE * small:
        return float("inf")
    distance = np.linalg.norm((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2)
    return float(2 * distance / (small + large))


def _side(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))
