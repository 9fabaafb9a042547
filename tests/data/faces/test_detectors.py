"""Tests face detectors: boxes in pixels of the frame, errors, and precomputed faces."""

import json
import sys
import types

import cv2
import numpy as np
import pytest

from dfjax.data.faces.detectors import make_detector, mtcnn, yunet
from dfjax.data.faces.detectors.precomputed import Precomputed, box_around, five_points
from dfjax.data.faces.video import probe, read_frames
from dfjax.errors import InputError, UsageError

FRAME = np.zeros((20, 30, 3), np.uint8)


def test_haar_finds_nothing_in_a_flat_image():
    detector = make_detector("haar")
    assert detector(np.full((200, 300, 3), 128, np.uint8)).boxes.shape == (0, 4)
    assert detector(np.full((2, 900, 3), 128, np.uint8)).boxes.shape == (0, 4)  # nearly no rows


@pytest.mark.samples
def test_haar_boxes_scale_with_the_frame(samples):
    """Detection runs on a downsampled frame, but boxes are in pixels of the frame."""
    path = samples / "ffpp/original_sequences/youtube/c23/videos/004.mp4"
    assert probe(path).width == 1280
    (frame,) = read_frames(path, [0])
    half = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    detector = make_detector("haar")
    assert detector(frame).boxes == pytest.approx(2 * detector(half).boxes, abs=4)


def test_wrong_detectors_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'haar'"):
        make_detector("har")
    with pytest.raises(UsageError, match="needs a model file"):
        make_detector("yunet")
    with pytest.raises(UsageError, match="no model file of the face detector at"):
        make_detector("yunet", tmp_path / "absent.onnx")
    (tmp_path / "bad.onnx").write_text("no network")
    with pytest.raises(UsageError, match="is not a YuNet model"):
        make_detector("yunet", tmp_path / "bad.onnx")
    with pytest.raises(UsageError, match="takes no model file"):
        make_detector("haar", tmp_path / "bad.onnx")


def test_a_table_of_yunet_comes_in_pixels_of_the_frame():
    face = [10, 20, 30, 40, *range(10), 0.75]
    found = yunet.read_faces(np.array([face], np.float32), scale=0.5)
    assert found.boxes.tolist() == [[20, 40, 80, 120]]
    assert found.landmarks.tolist() == [[2.0 * k for k in range(10)]]
    assert found.scores.tolist() == [0.75]
    assert yunet.read_faces(None, scale=1.0).boxes.shape == (0, 4)


def test_mtcnn_answers_are_read_in_the_order_of_the_template(monkeypatch):
    points = {"nose": [3, 3], "mouth_right": [5, 5], "right_eye": [2, 2], "left_eye": [1, 1],
              "mouth_left": [4, 4]}  # fmt: skip

    class Network:
        def detect_faces(self, image):
            return [{"box": [1, 2, 3, 4], "keypoints": points, "confidence": 0.5}]

    monkeypatch.setitem(sys.modules, "mtcnn", types.SimpleNamespace(MTCNN=Network))
    found = make_detector("mtcnn")(FRAME)
    assert found.boxes.tolist() == [[1, 2, 4, 6]] and found.scores.tolist() == [0.5]
    assert found.landmarks.tolist() == [[1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]
    assert mtcnn.read_faces([], 1.0).boxes.shape == (0, 4)


def test_mtcnn_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    with pytest.raises(UsageError, match=r"pip install 'dfjax\[face\]'"):
        make_detector("mtcnn")


def test_precomputed_json_by_id_or_path(tmp_path):
    faces = {
        "d/v": {"3": {"boxes": [[1, 2, 5, 6]], "scores": [0.5]}},
        "folder\\w.mp4": {"0": {"landmarks": [[[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]]]}},
        "../../etc/passwd": {"0": {"boxes": [[0, 0, 1, 1]]}},
        "plain": {"000007": [[1, 2, 5, 6]]},
    }
    (tmp_path / "f.json").write_text(json.dumps(faces))
    table = Precomputed(tmp_path / "f.json")
    detect = table.follow(["d/v", "v.mp4"], [0, 3])
    assert detect(FRAME).boxes.shape == (0, 4)
    found = detect(FRAME)
    assert found.boxes.tolist() == [[1, 2, 5, 6]] and found.scores.tolist() == [0.5]
    found = table.follow(["d/w", "folder/w.mp4"], [0])(FRAME)
    assert found.boxes.tolist() == [[0, 0, 4, 4]]
    assert found.landmarks.tolist() == [[1, 1, 3, 1, 2, 2, 1, 3, 3, 3]]
    assert table.follow(["plain"], [7])(FRAME).boxes.tolist() == [[1, 2, 5, 6]]
    with pytest.raises(InputError, match="f.json has no entry for this video"):
        table.follow(["d/x"], [0])


def test_precomputed_csv(tmp_path):
    lines = [
        "video,frame,x0,y0,x1,y1,score",
        "d/v,0,1,2,5,6,0.5",
        "d/v,0,7,2,9,6,0.25",
        "d/v,2,1,2,5,6,1",
    ]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    detect = Precomputed(tmp_path / "f.csv").follow(["d/v"], [0, 2])
    first = detect(FRAME)
    assert first.boxes.tolist() == [[1, 2, 5, 6], [7, 2, 9, 6]]
    assert first.scores.tolist() == [0.5, 0.25] and first.landmarks is None
    assert detect(FRAME).boxes.tolist() == [[1, 2, 5, 6]]


def test_68_landmarks_are_reduced_to_5():
    points = np.stack([np.arange(68.0), 100 - np.arange(68.0)], axis=1)
    expected = [[38.5, 61.5], [44.5, 55.5], [30, 70], [48, 52], [54, 46]]
    assert five_points(points.tolist()).reshape(5, 2).tolist() == expected
    with pytest.raises(ValueError, match="7 landmarks"):
        five_points(points[:7])


def test_the_box_around_landmarks_is_half_as_large_again_on_each_side():
    assert box_around(np.array([0, 0, 10, 0, 5, 5, 0, 8, 10, 8], np.float32)).tolist() == [
        -5, -5, 15, 13,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        {"boxes": [[5, 0, 1, 6]]},
        {"boxes": [[0, 0, float("inf"), 6]]},
        {"boxes": [[0, 0, 1]]},
        {"boxes": [["a", 0, 1, 2]]},
        {"landmarks": [[1, 2, 3]]},
        {"boxes": [[0, 0, 1, 1]], "scores": [1, 2]},
        {"scores": [1]},
        [1, 2],
    ],
)
def test_senseless_faces_cost_their_video_only(tmp_path, entry):
    (tmp_path / "f.json").write_text(json.dumps({"d/v": {"0": entry}, "d/w": {}}))
    table = Precomputed(tmp_path / "f.json")
    with pytest.raises(InputError, match="in f.json is invalid"):
        table.follow(["d/v"], [0])
    assert table.follow(["d/w"], [0])(FRAME).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.json", "[1, 2]"),
        ("f.json", '{"a": 3}'),
        ("f.json", "[" * 100_000),
        ("f.json", "\udcff"),
        ("f.csv", "a,b\n1,2"),
        ("f.csv", "video,frame,x0,y0,x1,y1\nv,0,1,2,3,z"),
        ("f.txt", ""),
    ],
)
def test_a_file_of_another_form_is_wrong_usage(tmp_path, name, text):
    (tmp_path / name).write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError, match=name):
        Precomputed(tmp_path / name)
    with pytest.raises(UsageError, match="no file of precomputed faces"):
        Precomputed(tmp_path / "absent.json")
    with pytest.raises(UsageError, match="need(s|) detector_model"):
        Precomputed(None)
