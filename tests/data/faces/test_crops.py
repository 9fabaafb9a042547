"""Tests face crops: pixels, flags of interpolated frames, and errors."""

import numpy as np
import pytest

from dfjax.data.faces.crops import Cutting, crop_faces, cut_faces, cut_square, locate_faces
from dfjax.data.faces.detectors import Detections, make_detector
from dfjax.errors import InputError

RNG = np.random.default_rng(0)


def noise(height, width):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def at(*boxes):
    """Returns a detector that gives one of these boxes (or None) per call."""
    calls = iter(boxes)

    def detect(frame):
        found = next(calls)
        return Detections(np.array([found] if found else [], np.float32).reshape(-1, 4))

    return detect


def test_a_square_inside_the_frame_is_cut_exactly():
    frame = noise(60, 80)
    crop = cut_square(frame, np.array([20, 10, 40, 30], np.float32), size=20, margin=1.0)
    assert np.array_equal(crop, frame[10:30, 20:40])
    crop = cut_square(frame, np.array([20, 10, 40, 30], np.float32), size=26, margin=1.3)
    assert np.array_equal(crop, frame[7:33, 17:43])


def test_a_square_beyond_the_frame_repeats_its_border():
    frame = noise(30, 40)
    crop = cut_square(frame, np.array([-5, -5, 15, 15], np.float32), size=20, margin=1.0)
    padded = np.pad(frame, ((5, 0), (5, 0), (0, 0)), mode="edge")
    assert np.array_equal(crop, padded[:20, :20])
    crop = cut_square(frame, np.array([0, 0, 40, 30], np.float32), size=80, margin=2.0)
    padded = np.pad(frame, ((25, 25), (20, 20), (0, 0)), mode="edge")
    assert np.array_equal(crop, padded)


def test_a_box_far_outside_still_gives_a_crop():
    crop = cut_square(noise(30, 40), np.array([500, 500, 520, 520], np.float32), size=8, margin=1.0)
    assert crop.shape == (8, 8, 3)


def test_shrinking_averages_areas():
    frame = noise(16, 16)
    crop = cut_square(frame, np.array([0, 0, 16, 16], np.float32), size=8, margin=1.0)
    mean = frame.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    assert np.abs(crop - mean).max() <= 0.5


def test_missed_frames_are_interpolated_and_flagged():
    frames = [noise(60, 80) for _ in range(3)]
    detector = at([10, 10, 30, 30], None, [20, 10, 40, 30])
    crops = crop_faces(frames, detector, size=16, margin=1.0)
    assert crops.crops.shape == (3, 16, 16, 3) and crops.crops.dtype == np.uint8
    assert crops.found.tolist() == [True, False, True] and not crops.fallback
    assert crops.boxes == pytest.approx(
        np.array([[10, 10, 30, 30], [15, 10, 35, 30], [20, 10, 40, 30]]), abs=1e-4
    )
    assert crops.landmarks is None


def test_without_any_face_the_centre_is_cut_without_margin_and_flagged():
    frames = [noise(20, 36)]
    crops = crop_faces(frames, make_detector("none"), size=20)
    assert crops.fallback and not crops.found.any()
    assert crops.boxes.tolist() == [[8, 0, 28, 20]]
    assert np.array_equal(crops.crops[0], frames[0][:, 8:28])


def test_landmarks_go_with_the_face_that_is_followed():
    boxes = np.array([[0, 0, 10, 10], [50, 0, 90, 40]], np.float32)
    points = np.arange(20, dtype=np.float32).reshape(2, 10)
    crops = crop_faces([noise(60, 100)], lambda frame: Detections(boxes, points), size=8)
    assert crops.landmarks == [list(range(10, 20))]


def test_no_frames_are_refused():
    with pytest.raises(ValueError, match="no frames"):
        crop_faces([], make_detector("none"), size=8)


def two_people(n_frames):
    """Returns a detector of a small face in the centre and a larger one in a corner of 100x100 px.

    The larger face is found from the third frame on.
    """
    calls = iter(range(n_frames))

    def detect(frame):
        boxes = [[40, 40, 60, 60]] + ([[0, 0, 24, 24]] if next(calls) >= 2 else [])
        scores = np.array([0.9, 0.8], np.float32)[: len(boxes)]
        return Detections(np.array(boxes, np.float32), None, scores)

    return detect


def test_all_faces_come_apart_each_where_it_is_seen():
    frames = [noise(100, 100) for _ in range(6)]
    paths = locate_faces(frames, two_people(6), every=True)
    assert [(p.first, len(p.boxes)) for p in paths] == [(0, 6), (2, 4)]
    assert paths[1].scores == [0.8] * 4 and paths[0].scores == [0.9] * 6
    crops = cut_faces(frames, paths, Cutting(24, 1.0))
    assert np.array_equal(crops[1].crops[0], frames[2][:24, :24])
    assert crops[1].first == 2 and len(crops[1].crops) == 4


def test_the_central_face_beats_one_a_little_larger_in_the_corner():
    frames = [noise(100, 100) for _ in range(3)]
    both = Detections(np.array([[0, 0, 24, 24], [40, 40, 60, 60]], np.float32))
    (path,) = locate_faces(frames, lambda frame: both)
    assert path.boxes[0].tolist() == [40, 40, 60, 60]
    both = Detections(np.array([[0, 0, 60, 60], [40, 40, 60, 60]], np.float32))
    (path,) = locate_faces(frames, lambda frame: both)
    assert path.boxes[0].tolist() == [0, 0, 60, 60]


def test_faces_without_landmarks_are_not_aligned():
    with pytest.raises(InputError, match="no landmarks"):
        crop_faces([noise(60, 80)], at([10, 10, 30, 30]), size=8, align=True)


def test_a_video_without_faces_gives_the_centre_even_when_aligning():
    frame = noise(20, 36)
    crops = crop_faces([frame], make_detector("none"), size=20, align=True)
    assert crops.fallback and np.array_equal(crops.crops[0], frame[:, 8:28])


def test_landmarks_are_found_again_in_the_crop():
    """A dot at each landmark of the frame is at the landmark of the crop, even if clipped."""
    points = np.array([30, 22, 44, 20, 38, 30, 32, 38, 43, 37], np.float32).reshape(1, 10)
    for box in ([24, 12, 52, 40], [-6, 4, 46, 56]):  # the second reaches out of the frame
        found = Detections(np.array([box], np.float32), points)
        for x, y in points.reshape(5, 2).astype(int):
            frame = np.zeros((60, 80, 3), np.uint8)
            frame[y - 1 : y + 2, x - 1 : x + 2] = 240
            crops = crop_faces([frame], lambda frame, found=found: found, size=96, margin=1.3)
            dot = crops.crops[0, ..., 0].astype(float)
            rows, columns = np.mgrid[:96, :96]
            place = (dot * columns).sum() / dot.sum(), (dot * rows).sum() / dot.sum()
            given = np.reshape(crops.crop_landmarks[0], (5, 2))
            nearest = given[np.argmin(np.abs(given - place).sum(axis=1))]
            assert place == pytest.approx(tuple(nearest), abs=0.3)
