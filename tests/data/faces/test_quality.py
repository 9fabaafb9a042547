"""Tests measures of crop quality: known values, and thresholds that unknown values fail."""

import cv2
import numpy as np

from dfjax.data.faces.quality import (
    compute_frontal,
    compute_qualities,
    compute_sharpness,
    compute_symmetry,
    find_good,
)

RNG = np.random.default_rng(0)
FACE = [0.0, 0.0, 10.0, 0.0, 5.0, 7.0, 2.0, 12.0, 8.0, 12.0]


def test_the_nose_tells_the_pose():
    face = list(FACE)
    for nose, expected in [(5.0, 1.0), (2.5, 0.5), (0.0, 0.0), (-3.0, 0.0), (9.0, 0.2)]:
        face[4] = nose
        assert compute_frontal(face) == expected
    c, s = np.cos(0.5), np.sin(0.5)
    tilted = np.array([0, 0, 10, 0, 2.5, 7, 2, 12, 8, 12]).reshape(5, 2) @ [[c, s], [-s, c]]
    assert compute_frontal(tilted.reshape(-1).tolist()) == 0.5  # tilting is no turning
    assert compute_frontal([1.0] * 10) == 0.0


def test_symmetry_falls_when_one_side_is_covered():
    half = cv2.resize(RNG.integers(0, 256, (8, 4, 3), dtype=np.uint8), (32, 64))
    face = np.concatenate([half, half[:, ::-1]], axis=1)
    assert compute_symmetry(face) == 1.0
    covered = face.copy()
    covered[:, :24] = 0
    assert compute_symmetry(covered) < 0.6
    assert compute_symmetry(np.full((16, 16, 3), 7, np.uint8)) == 1.0


def test_blur_lowers_sharpness():
    crop = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert compute_sharpness(cv2.GaussianBlur(crop, (5, 5), 1)) < compute_sharpness(crop) / 4
    assert compute_sharpness(np.full((8, 8, 3), 3, np.uint8)) == 0


def test_columns_and_thresholds():
    crops = RNG.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    boxes = np.array([[0, 0, 9, 9], [0, 0, 30, 30], [0, 0, 50, 50]], np.float32)
    points = [FACE, None, [*FACE[:4], 1.0, *FACE[5:]]]
    columns = compute_qualities(crops, boxes, points, [0.9, None, 0.7])
    assert columns["face_size"] == [9, 30, 50] and columns["face_frontal"] == [1.0, None, 0.2]
    assert find_good(columns, {}) == [0, 1, 2]
    assert find_good(columns, {"size": 30.0}) == [1, 2]
    assert find_good(columns, {"score": 0.5}) == [0, 2]
    assert find_good(columns, {"frontal": 0.1, "size": 10.0}) == [2]
    unknown = compute_qualities(crops, boxes, None, None)
    assert unknown["face_score"] == [None] * 3 and find_good(unknown, {"score": 0.0}) == []
