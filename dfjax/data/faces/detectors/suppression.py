"""Removes or averages boxes (x0, y0, x1, y1) that overlap: non-maximum suppression."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

Boxes = Float[np.ndarray, "N 4"]
Scores = Float[np.ndarray, "N"]


def suppress(
    boxes: Boxes, scores: Scores, most: float, *, smaller: bool = False
) -> Int[np.ndarray, "_"]:
    """Returns the numbers of the boxes that no better box overlaps, the best first.

    Args:
        boxes: Boxes.
        scores: Score of each box.
        most: Largest overlap of two boxes that both stay.
        smaller: Whether overlap is relative to the smaller box, which also removes boxes within
            others, and not to the union of both.
    """
    groups = _group(boxes, scores, most, smaller=smaller)
    return np.array([group[0] for group in groups], np.int64)


def average_overlapping(
    rows: Float[np.ndarray, "N K"], boxes: Boxes, scores: Scores, most: float
) -> tuple[Float[np.ndarray, "M K"], Float[np.ndarray, "M"]]:
    """Returns one row and score per group of overlapping boxes, the best first.

    The row is the mean of those of the group, weighted by their scores, which trembles less from
    frame to frame than the best one (Bazarevsky et al. 2019). The score is the best one.

    Args:
        rows: What is averaged, such as boxes with their landmarks.
        boxes: Boxes.
        scores: Score of each box.
        most: Largest overlap, relative to the union, of boxes of different groups.
    """
    groups = list(_group(boxes, scores, most))
    means = [np.average(rows[group], axis=0, weights=scores[group]) for group in groups]
    best = np.array([scores[group[0]] for group in groups], scores.dtype)
    return np.array(means, rows.dtype).reshape(len(groups), rows.shape[1]), best


def _group(
    boxes: Boxes, scores: Scores, most: float, *, smaller: bool = False
) -> Iterator[Int[np.ndarray, "_"]]:
    """Yields the numbers of the best box left and of those that overlap it, until none is left."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    left = np.argsort(-scores, kind="stable")
    while len(left):
        best = left[0]
        low = np.maximum(boxes[left, :2], boxes[best, :2])
        high = np.minimum(boxes[left, 2:], boxes[best, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=1)
        whole = (
            np.minimum(areas[left], areas[best]) if smaller else areas[left] + areas[best] - common
        )
        overlapping = common > most * whole
        overlapping[0] = True  # the box itself, even without an area
        yield left[overlapping]
        left = left[~overlapping]
