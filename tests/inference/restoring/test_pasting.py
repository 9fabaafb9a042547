"""Tests that pasting is the inverse of cutting, for squares and aligned faces of all scales."""

import numpy as np
import pytest

from dfjax.data.faces.crops import Cutting, FacePath
from dfjax.inference.restoring.pasting import LONGEST_GAP, FacePlaces, make_mask, paste

FACE = [0.34, 0.46, 0.66, 0.46, 0.5, 0.64, 0.37, 0.82, 0.63, 0.82]
"""Eyes, nose and mouth in a face's box of side 1."""


def make_places(box, size, *, align=False, margin=1.3, found=(True,)):
    left, top, right, bottom = box
    points = (np.array(FACE).reshape(5, 2) * [right - left, bottom - top] + [left, top]).ravel()
    n = len(found)
    path = FacePath(np.array([box] * n, np.float32), np.array(found), False, [points.tolist()] * n)
    return FacePlaces(path, Cutting(size, margin, align))


def make_frame(height=90, width=121):
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y * 2, (x + y) // 2], -1).astype(np.uint8)


@pytest.mark.parametrize("box", [(30, 20, 70, 60), (-10, -5, 30, 35), (100, 70, 140, 110)])
@pytest.mark.parametrize("size", [20, 52, 131])
@pytest.mark.parametrize("align", [False, True])
def test_a_crop_that_is_not_changed_leaves_the_frame_as_it_is(box, size, align):
    frame, places = make_frame(), make_places(box, size, align=align)
    crop = places.cut(frame, 0)
    pasted = paste(frame, crop, crop.astype(np.float32), places.find(0, frame.shape[:2]))
    np.testing.assert_array_equal(pasted, frame)


@pytest.mark.parametrize("size", [26, 52, 160])
@pytest.mark.parametrize("align", [False, True])
def test_a_change_appears_at_its_place_only(size, align):
    frame = np.full((90, 120, 3), 100, np.uint8)
    places = make_places((30, 20, 70, 60), size, align=align)
    matrix = places.find(0, frame.shape[:2])
    crop = places.cut(frame, 0)
    centre = (np.array([size / 2 - 0.5] * 2) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    y, x = np.mgrid[:size, :size]
    spot = 100 * np.exp(-((x - (size - 1) / 2) ** 2 + (y - (size - 1) / 2) ** 2) / (size / 8) ** 2)
    pasted = paste(frame, crop, crop + spot[..., None].astype(np.float32), matrix)
    change = pasted.astype(float)[..., 0] - 100
    weights = change / change.sum()
    found = (weights * np.mgrid[:90, :120][1]).sum(), (weights * np.mgrid[:90, :120][0]).sum()
    np.testing.assert_allclose(found, centre, atol=0.15)
    assert change.max() > 80 and change[:, 85:].max() == change[70:].max() == 0


@pytest.mark.parametrize("size", [26, 52, 208])
def test_what_is_pasted_is_what_is_cut_again(size):
    """The crop of the pasted frame is the restored crop, inside of the mask's border."""
    frame, places = make_frame(), make_places((30, 20, 70, 60), size)
    crop = places.cut(frame, 0)
    restored = crop.astype(np.float32) * 0.5 + 60
    pasted = paste(frame, crop, restored, places.find(0, frame.shape[:2]))
    again = places.cut(pasted, 0).astype(float)
    inside = make_mask(size)[..., 0] == 1
    assert inside.mean() > 0.5
    assert np.abs(again - restored)[inside].max() < 3
    seam = np.abs(again - crop)[0].max()
    assert seam < 0.12 * np.abs(restored - crop).max()


def test_the_mask_is_one_inside_and_falls_to_zero():
    mask = make_mask(100)[..., 0]
    assert mask[50, 50] == 1 and mask[0].max() < 0.01 and mask.shape == (100, 100)
    row = mask[50, :20]
    assert (np.diff(row) >= 0).all() and np.diff(row).max() < 0.15
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])


def test_frames_without_a_face_are_restored_in_short_gaps_only():
    found = [False, True, *[False] * LONGEST_GAP, True, *[False] * (LONGEST_GAP + 1), True, False]
    places = make_places((30, 20, 70, 60), 20, found=found)
    covered = [places.covers(number) for number in range(-1, len(found) + 1)]
    gap = [True] * (LONGEST_GAP + 2)
    assert covered == [False, False, *gap, *[False] * (LONGEST_GAP + 1), True, False, False]
    runs = [len(list(run)) for run in places.cut_runs([make_frame()] * len(found))]
    assert runs == [LONGEST_GAP + 2, 1]
