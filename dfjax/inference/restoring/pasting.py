"""Cuts the crops of a face out of frames, and pastes restored crops back.

What the generator has changed in a crop is added to the frame, below a mask that falls to zero at
the border of the crop. A frame therefore keeps its resolution where it is finer than the crop, and
is unchanged where the generator changes nothing.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from dfjax.data.faces.alignment import align_face, fill_landmarks, fit_similarity, make_template
from dfjax.data.faces.crops import Cutting, FacePath, cut_square, find_square
from dfjax.data.faces.images import Frame
from dfjax.errors import InputError

FEATHER = 0.12
"""Width of the border in which the mask falls to zero, as a share of the crop's side."""

LONGEST_GAP = 12
"""Number of frames without a detected face that are still restored, between two with one."""

Matrix = Float[np.ndarray, "2 3"]


@dataclass(frozen=True)
class FacePlaces:
    """The places of one face in the frames of a video.

    Attributes:
        path: Boxes and landmarks of the face.
        how: Settings of the crops.
    """

    path: FacePath
    how: Cutting

    @cached_property
    def shown(self) -> Bool[np.ndarray, "T"]:
        """Whether the face is restored in each frame of the path: found, or in a short gap."""
        return self.path.found | _find_gaps(self.path.found) | self.path.fallback

    @cached_property
    def _points(self) -> Float32[np.ndarray, "T 10"] | None:
        if not self.how.align or self.path.fallback:
            return None
        if self.path.landmarks is None:
            raise InputError("its faces have no landmarks, which alignment needs")
        return fill_landmarks(self.path.landmarks)

    @property
    def _margin(self) -> float:
        return 1.0 if self.path.fallback else self.how.margin

    def covers(self, number: int) -> bool:
        """Returns whether the face is restored in a frame of the video."""
        place = number - self.path.first
        return 0 <= place < len(self.shown) and bool(self.shown[place])

    def cut(self, frame: Frame, number: int) -> UInt8[np.ndarray, "S S 3"]:
        """Returns the crop of a frame, cut as for the training data.

        Args:
            frame: Frame of the video.
            number: Its number.
        """
        place, size = number - self.path.first, self.how.size
        if self._points is not None:
            return align_face(frame, self._points[place], size=size, margin=self.how.margin)
        return cut_square(frame, self.path.boxes[place], size=size, margin=self._margin)

    def find(self, number: int, shape: tuple[int, int]) -> Matrix:
        """Returns the transform from pixels of a frame to those of its crop.

        Args:
            number: Number of the frame.
            shape: Its height and width.
        """
        place, size = number - self.path.first, self.how.size
        if self._points is not None:
            points = self._points[place].reshape(5, 2).astype(np.float64)
            return fit_similarity(points, make_template(size, self.how.margin))
        left, top, side = find_square(self.path.boxes[place], shape, self._margin)
        # Pixels are areas: the centre of the first one is 0.5 from the edge.
        scale = size / side
        return np.array(
            [[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]]
        )

    def cut_runs(self, frames: Iterable[Frame]) -> Iterator[Iterator[UInt8[np.ndarray, "S S 3"]]]:
        """Yields, for each run of frames in which the face is restored, an iterator of its crops.

        Each iterator must be used up before the next one is taken.

        Args:
            frames: All frames of the video, in order.
        """
        for covered, run in itertools.groupby(enumerate(frames), lambda item: self.covers(item[0])):
            if covered:
                yield (self.cut(frame, number) for number, frame in run)


def _find_gaps(found: Bool[np.ndarray, "T"]) -> Bool[np.ndarray, "T"]:
    """Returns which frames are in a gap of at most `LONGEST_GAP` frames between two found ones."""
    gaps = np.zeros_like(found)
    seen = np.flatnonzero(found)
    for before, after in zip(seen, seen[1:]):
        gaps[before + 1 : after] = after - before - 1 <= LONGEST_GAP
    return gaps


@lru_cache(maxsize=8)
def make_mask(size: int) -> Float32[np.ndarray, "size size 1"]:
    """Returns the mask of a crop: 1 inside, and half a cosine to 0 along its border.

    Args:
        size: Side of the crop in pixels.
    """
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    edge = 0.5 - 0.5 * np.cos(np.pi * np.clip(distance / (FEATHER * size), 0, 1))
    return np.outer(edge, edge)[..., None].astype(np.float32)


def paste(
    frame: Frame,
    crop: UInt8[np.ndarray, "S S 3"],
    restored: Float32[np.ndarray, "S S 3"],
    matrix: Matrix,
) -> Frame:
    """Returns a frame with a restored crop in its place.

    Args:
        frame: Frame that the crop was cut from.
        crop: The crop before restoration.
        restored: The restored crop, 0 to 255.
        matrix: Transform from pixels of the frame to those of the crop.
    """
    size = len(crop)
    change = (restored - crop) * make_mask(size)
    scale = float(np.hypot(*matrix[:, 0]))
    if scale > 1:  # averaged over areas, since sampling would alias
        small = max(1, round(size / scale))
        change = cv2.resize(change, (small, small), interpolation=cv2.INTER_AREA)
        matrix = matrix * (small / size)
        matrix[:, 2] += 0.5 * small / size - 0.5
    left, top, right, bottom = _find_region(matrix, len(change), frame.shape)
    if left >= right or top >= bottom:
        return frame
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ [left, top]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    added = cv2.warpAffine(change, moved, (right - left, bottom - top), flags=flags)
    pasted = frame.copy()
    inside = pasted[top:bottom, left:right]
    inside[:] = np.clip(np.rint(inside + added), 0, 255).astype(np.uint8)
    return pasted


def _find_region(matrix: Matrix, side: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the part of a frame that a crop covers."""
    edge = np.array([[-1, -1], [side, -1], [-1, side], [side, side]], np.float64)
    corners = (edge - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low = np.floor(corners.min(0)).astype(int).clip(0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, [shape[1], shape[0]])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
