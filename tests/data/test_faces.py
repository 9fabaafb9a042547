"""Crops: the right pixels, the right frames flagged, the right refusals."""

import cv2
import numpy as np
import pytest

from dfjax.data.faces import Detections, crop_faces, cut_square, make_detector
from dfjax.data.video import probe, read_frames
from dfjax.errors import UsageError

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


def test_haar_finds_nothing_in_a_flat_image():
    detector = make_detector("haar")
    assert detector(np.full((200, 300, 3), 128, np.uint8)).boxes.shape == (0, 4)
    assert detector(np.full((2, 900, 3), 128, np.uint8)).boxes.shape == (0, 4)  # nearly no rows


@pytest.mark.samples
def test_haar_boxes_scale_with_the_frame(samples):
    """Detection runs on a smaller copy; boxes come back in the frame's own pixels."""
    path = samples / "ffpp/original_sequences/youtube/c23/videos/004.mp4"
    assert probe(path).width == 1280
    (frame,) = read_frames(path, [0])
    half = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    detector = make_detector("haar")
    assert detector(frame).boxes == pytest.approx(2 * detector(half).boxes, abs=4)


def test_wrong_detectors_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'haar'"):
        make_detector("har")
    with pytest.raises(UsageError, match="needs --detector-model"):
        make_detector("yunet")
    with pytest.raises(UsageError, match="no detector model at"):
        make_detector("yunet", tmp_path / "absent.onnx")
    (tmp_path / "bad.onnx").write_text("no network")
    with pytest.raises(UsageError, match="is not a YuNet model"):
        make_detector("yunet", tmp_path / "bad.onnx")
    with pytest.raises(UsageError, match="takes no model file"):
        make_detector("haar", tmp_path / "bad.onnx")
