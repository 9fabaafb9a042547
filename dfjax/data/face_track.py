"""One face followed over a video: which detections are the same person, filled and smoothed.

Plain geometry on boxes (x0, y0, x1, y1) in pixels; no detector, no pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

MAX_SHIFT = 0.75  # between sightings, in box sides: farther is another face
MAX_SCALE = 1.6  # ratio of box sides between sightings
MIN_FRAGMENT = 3  # sightings; shorter pieces beside the main track are false alarms

Boxes = Float32[np.ndarray, "_ 4"]


class FaceTrack(NamedTuple):
    """The face of one video; `chosen` is the detection taken in each frame, -1 for none."""

    boxes: Float32[np.ndarray, "T 4"]
    found: Bool[np.ndarray, "T"]
    chosen: list[int]


def follow_face(detections: Sequence[Boxes]) -> FaceTrack | None:
    """Returns the largest face that is seen consistently, or None where no frame has any.

    Detections of consecutive sightings are linked when they are near each other in place and size;
    the track with the largest sum of box sides wins, so a face that is large and lasts beats one
    large false alarm. Pieces of at least `MIN_FRAGMENT` sightings that lie in frames where the
    winner is missing (it moved too fast to link, or the scene was cut) are taken over. Frames left
    without a face are interpolated, and the boxes smoothed.

    Args:
        detections: the boxes found in each frame, in order of time.
    """
    tracks = _link(detections)
    if not tracks:
        return None
    weight = [sum(_side(detections[t][n]) for t, n in track.items()) for track in tracks]
    order = np.argsort(-np.array(weight), kind="stable")
    chosen = dict(tracks[order[0]])
    for other in (tracks[i] for i in order[1:]):
        if len(other) >= MIN_FRAGMENT and not chosen.keys() & other.keys():
            chosen |= other
    index = [chosen.get(t, -1) for t in range(len(detections))]
    found = np.array([n >= 0 for n in index])
    boxes = np.full((len(index), 4), np.nan, np.float32)
    for t, n in chosen.items():
        boxes[t] = detections[t][n]
    return FaceTrack(smooth_boxes(fill_boxes(boxes, found)), found, index)


def fill_boxes(
    boxes: Float32[np.ndarray, "T 4"], found: Bool[np.ndarray, "T"]
) -> Float32[np.ndarray, "T 4"]:
    """Returns the boxes with those not found interpolated linearly; held before and after.

    Raises:
        ValueError: no box is found.
    """
    if not found.any():
        raise ValueError("nothing to interpolate from: no box was found")
    frames = np.arange(len(boxes))
    columns = [np.interp(frames, frames[found], boxes[found, k]) for k in range(4)]
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


def _link(detections: Sequence[Boxes]) -> list[dict[int, int]]:
    """Returns tracks as {frame: detection}, linking the nearest pairs first."""
    tracks: list[dict[int, int]] = []
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
