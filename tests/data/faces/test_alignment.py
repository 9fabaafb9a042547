"""Tests the alignment of faces: similarity transforms and positions of landmarks in crops."""

import numpy as np
import pytest

from dfjax.data.faces.alignment import (
    TEMPLATE,
    align_face,
    fill_landmarks,
    fit_similarity,
    make_template,
)
from dfjax.data.faces.crops import crop_faces
from dfjax.data.faces.detectors import Detections


def turned(points, angle, scale, shift):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return points @ np.array([[c, s], [-s, c]]) + shift


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5, 3.1])
def test_a_similarity_is_found_again(angle):
    targets = turned(TEMPLATE, angle, 0.4, [30, -7])
    matrix = fit_similarity(TEMPLATE, targets)
    np.testing.assert_allclose(TEMPLATE @ matrix[:, :2].T + matrix[:, 2], targets, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(matrix[:, :2]), 0.4**2)


def test_a_mirrored_face_is_not_mirrored_back():
    matrix = fit_similarity(TEMPLATE * [-1, 1], TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_it_is_the_least_squares_solution():
    rng = np.random.default_rng(0)
    points, targets = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    rows = np.concatenate(
        [[[x, -y, 1, 0], [y, x, 0, 1]] for x, y in points]
    )  # a, b of the matrix [[a, -b], [b, a]] and the shift
    a, b, x, y = np.linalg.lstsq(rows, targets.reshape(-1))[0]
    np.testing.assert_allclose(fit_similarity(points, targets), [[a, -b, x], [b, a, y]], atol=1e-12)


def test_points_that_coincide_give_no_nan():
    assert np.isfinite(fit_similarity(np.ones((5, 2)), TEMPLATE)).all()


def test_the_template_scales_about_its_centre():
    np.testing.assert_allclose(make_template(112, 1.0), TEMPLATE)
    np.testing.assert_allclose(make_template(224, 1.0), 2 * TEMPLATE)
    np.testing.assert_allclose(make_template(112, 2.0), (TEMPLATE - 56) / 2 + 56)


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0.3), (3.0, -0.4), (0.6, 0.0)])
def test_dots_at_the_landmarks_land_on_the_template(scale, angle):
    """The dots at a frame's landmarks are at the template's positions in the crop."""
    size, margin = 64, 1.3
    wanted = make_template(size, margin)
    points = turned(wanted - 32, angle, scale, [150, 140])
    y, x = np.mgrid[:280, :300]
    width = max(3.0, 2.5 * scale)
    dots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * width**2)) for px, py in points]
    for dot, place in zip(dots, wanted):
        frame = np.repeat((255 * dot)[..., None], 3, axis=2).astype(np.uint8)
        landmarks = points.reshape(10).astype(np.float32)
        crop = align_face(frame, landmarks, size=size, margin=margin)[..., 0].astype(float)
        rows, columns = np.mgrid[:size, :size]
        found = (crop * columns).sum() / crop.sum(), (crop * rows).sum() / crop.sum()
        assert found == pytest.approx(tuple(place), abs=0.3)


def test_missing_landmarks_are_interpolated():
    filled = fill_landmarks([[0.0] * 10, None, [4.0] * 10, None])
    assert filled[:, 0].tolist() == [0, 2, 4, 4]


def test_aligned_crops_keep_what_was_detected():
    frames = [np.random.default_rng(k).integers(0, 256, (60, 60, 3), np.uint8) for k in range(2)]
    points = make_template(60, 1.0).reshape(1, 10).astype(np.float32)
    found = iter([Detections(np.array([[10, 10, 50, 50]], np.float32), points), Detections.none()])
    crops = crop_faces(frames, lambda frame: next(found), size=60, margin=1.0, align=True)
    np.testing.assert_allclose(crops.crops[0].astype(int), frames[0], atol=1)  # already in place
    assert crops.landmarks[0] == points[0].tolist() and crops.landmarks[1] is None
    assert crops.crop_landmarks[0] == pytest.approx(points[0].tolist(), abs=0.01)
    assert crops.crop_landmarks[1] is None
    np.testing.assert_allclose(crops.crops[1].astype(int), frames[1], atol=1)
