"""Tests the face detectors with their real weights on real videos."""

import itertools

import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.faces.crops import crop_faces
from dfjax.data.faces.detectors import make_detector
from dfjax.data.faces.detectors.facemesh import FIVE, OUTLINE
from dfjax.data.faces.settings import choose_frames
from dfjax.data.faces.video import probe, read_frames

pytestmark = [pytest.mark.samples, pytest.mark.weights, pytest.mark.face]

NAMES = ("yunet", "mtcnn", "blazeface", "facemesh")
FRAMES = 5  # per video


@pytest.fixture(scope="module")
def frames(samples):
    paths = sorted((samples / "ffpp").rglob("*.mp4"))
    assert len(paths) == 7
    chosen = [choose_frames(probe(path).n_frames, frames=FRAMES, every=None) for path in paths]
    return [f for path, numbers in zip(paths, chosen) for f in read_frames(path, numbers)]


@pytest.fixture(scope="module")
def found(frames, weights):
    models = {"yunet": weights / "face_detection_yunet_2023mar.onnx"}
    detectors = {name: make_detector(name, models.get(name)) for name in NAMES}
    return {name: [detect(frame) for frame in frames] for name, detect in detectors.items()}


def overlap(box, boxes):
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (box, boxes)]
    return common / (sum(areas) - common)


def faces(found, number):
    """Returns the boxes of `yunet` and others that at least three detectors agree on."""
    for box in found["yunet"][number].boxes:
        near = {name: overlap(box, found[name][number].boxes) for name in NAMES}
        best = {
            name: int(np.argmax(near[name])) for name in NAMES if near[name].max(initial=0) > 0.3
        }
        if len(best) >= 3:
            yield best


def test_each_finds_the_faces(found, frames):
    agreed = [best for number in range(len(frames)) for best in faces(found, number)]
    assert len(agreed) >= len(frames)  # every frame has a face
    for name in NAMES:
        assert np.mean([name in best for best in agreed]) >= 0.97, name
        assert sum(len(d.boxes) for d in found[name]) <= 1.2 * len(agreed), "few other boxes"


def test_landmarks_agree(found, frames):
    """The mean distance, in eye distances, of the landmarks of each pair of detectors."""
    for one, other in itertools.combinations(NAMES, 2):
        distances = []
        for number in range(len(frames)):
            for best in faces(found, number):
                if one in best and other in best:
                    a, b = (found[n][number].landmarks[best[n]].reshape(5, 2) for n in (one, other))
                    eyes = np.linalg.norm(a[1] - a[0]) + np.linalg.norm(b[1] - b[0])
                    distances.append(np.linalg.norm(a - b, axis=1) / (eyes / 2))
        means = np.mean(distances, axis=0)
        assert (means < 0.15).all(), f"{one} and {other}: {means.round(3)}"


def test_the_mesh_is_around_the_face(found, frames):
    """Its five landmarks are inside of its outline, which crops carry for self-blending."""
    mesh = found["facemesh"][0].mesh[0].reshape(468, 2)
    outline = mesh[list(OUTLINE)]
    for part in FIVE:
        point = mesh[list(part)].mean(axis=0)
        assert (point >= outline.min(axis=0)).all() and (point <= outline.max(axis=0)).all()
    crops = crop_faces(frames[:1], make_detector("facemesh"), size=64, align=True)
    points = np.reshape(crops.crop_landmarks[0], (-1, 2))
    assert points.shape == (len(OUTLINE), 2) and (points > -10).all() and (points < 74).all()
    assert len(crops.landmarks[0]) == 10


def test_a_file_or_a_folder_names_the_network(frames, tmp_path):
    """The full-range BlazeFace finds the faces of the one for the back camera."""
    from dfjax.data.faces.detectors.blazeface import find_folder

    full = make_detector("blazeface", find_folder(None) / "face_detection_full_range.tflite")
    back = make_detector("blazeface", find_folder(None))
    for frame in frames[:: FRAMES * 2]:
        assert overlap(back(frame).boxes[0], full(frame).boxes).max() > 0.3


def test_bench_and_doctor_list_them(samples, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "dfjax" / "weights"
    kept.mkdir(parents=True)
    (kept / "yunet.onnx").symlink_to(weights / "face_detection_yunet_2023mar.onnx")
    video = samples / "ffpp/original_sequences/youtube/c23/videos/004.mp4"
    assert main(["bench", "faces", str(video), "--frames", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["haar", *NAMES]
    assert all("a face in 2 of 2 frames" in line for line in lines[1:])
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name} ready" in out for name in ("haar", *NAMES))
