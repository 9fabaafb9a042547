"""Tests face tracking on boxes whose result is known by hand."""

import numpy as np
import pytest

from dfjax.data.faces.tracks import fill_boxes, follow_face, smooth_boxes


def box(x, y, side):
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def frames(*lists):
    return [np.array(boxes, np.float32).reshape(-1, 4) for boxes in lists]


def test_nothing_found_is_none():
    assert follow_face(frames([], [])) is None
    assert follow_face([]) is None


def test_one_frame_gives_its_largest_face():
    track = follow_face(frames([box(10, 10, 8), box(50, 50, 20)]))
    assert track.boxes.tolist() == [box(50, 50, 20)]
    assert track.found.tolist() == [True] and track.chosen == [1]


def test_steady_motion_and_growth_are_followed_without_lag():
    boxes = [box(100 + 5 * t, 80 - 3 * t, 40 + 2 * t) for t in range(9)]
    track = follow_face(frames(*([b] for b in boxes)))
    assert track.boxes == pytest.approx(np.array(boxes), abs=1e-4)


def test_a_lasting_face_beats_one_larger_false_alarm():
    lists = [[box(50, 50, 30)] for _ in range(6)]
    lists[2].insert(0, box(150, 60, 100))
    track = follow_face(frames(*lists))
    assert track.chosen == [0, 0, 1, 0, 0, 0]
    assert track.boxes == pytest.approx(np.array([box(50, 50, 30)] * 6))


def test_of_two_people_the_larger_is_kept_even_where_it_is_missed():
    lists = [[box(50, 50, 44), box(200, 50, 30)] for _ in range(8)]
    lists[3] = lists[4] = [box(200, 50, 30)]
    track = follow_face(frames(*lists))
    assert track.found.tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert track.boxes == pytest.approx(np.array([box(50, 50, 44)] * 8))


def test_the_order_of_detections_does_not_matter():
    lists = [[box(50 + t, 50, 40), box(90 - t, 50, 36)] for t in range(6)]
    swapped = [boxes[::-1] if t % 2 else boxes for t, boxes in enumerate(lists)]
    a, b = follow_face(frames(*lists)), follow_face(frames(*swapped))
    assert np.array_equal(a.boxes, b.boxes)
    assert b.chosen == [0, 1, 0, 1, 0, 1]


def test_a_jump_is_followed_when_the_face_stays_there():
    lists = [[box(50, 50, 40)]] * 5 + [[box(300, 200, 60)]] * 3
    assert follow_face(frames(*lists)).found.all()
    lists = [[box(50, 50, 40)]] * 5 + [[box(300, 200, 60)]] * 2 + [[]]
    assert follow_face(frames(*lists)).found.tolist() == [True] * 5 + [False] * 3


def test_filling_interpolates_and_holds_the_ends():
    boxes = np.zeros((6, 4), np.float32)
    boxes[1], boxes[4] = 3, 9
    found = np.array([False, True, False, False, True, False])
    assert fill_boxes(boxes, found)[:, 0].tolist() == [3, 3, 5, 7, 9, 9]
    with pytest.raises(ValueError, match="no box was found"):
        fill_boxes(boxes, np.zeros(6, bool))


def test_smoothing_removes_one_outlier_and_averages_the_rest():
    boxes = np.array([box(50, 50, 20)] * 7, np.float32)
    boxes[3] = box(90, 50, 44)
    assert smooth_boxes(boxes) == pytest.approx(np.array([box(50, 50, 20)] * 7))
    # A step in x from 0 to 4: the median keeps it, (1, 2, 1)/4 spreads it over two frames.
    step = np.array([box(x, 0, 2) for x in (0, 0, 0, 4, 4, 4)], np.float32)
    centre = smooth_boxes(step)[:, [0, 2]].mean(axis=1)
    assert centre == pytest.approx([0, 0, 1, 3, 4, 4])


def test_smoothed_boxes_are_square():
    boxes = np.array([[0, 0, 10, 20]], np.float32)
    assert smooth_boxes(boxes).tolist() == [[-5, 0, 15, 20]]
