"""Extraction of one video: which frames, which pixels, and what is kept between runs."""

import json

import cv2
import numpy as np
import pytest

from dfjax.data import extract
from dfjax.data.error_log import ErrorLog
from dfjax.data.extract import Settings, choose_frames, extract_record, load_finished
from dfjax.data.faces import Detections, crop_faces, make_detector
from dfjax.data.video import ShortVideoError, read_frames
from dfjax.errors import InputError


def test_frames_are_spread_from_first_to_last():
    assert choose_frames(10, frames=4, every=None) == [0, 3, 6, 9]
    assert choose_frames(3, frames=32, every=None) == [0, 1, 2]
    assert choose_frames(1, frames=2, every=None) == [0]
    assert choose_frames(10, frames=None, every=4) == [0, 4, 8]
    for n in range(1, 70):
        chosen = choose_frames(n, frames=32, every=None)
        assert len(set(chosen)) == len(chosen) == min(n, 32)
    for wrong in ({"frames": 3, "every": 2}, {"frames": None, "every": None}):
        with pytest.raises(ValueError, match="one of frames and every"):
            choose_frames(10, **wrong)


def task(path):
    return {"video_id": "d/v", "root": str(path.parent), "path": path.name, "sha256": None}


def bright_corner(frame):
    """Finds the brighter quarter of the test videos: a face at (0, 0, 32, 24)."""
    return Detections(np.array([[0, 0, 32, 24]], np.float32))


def test_streaming_gives_the_crops_of_the_frames_in_memory(tmp_path, make_video, monkeypatch):
    path = make_video(tmp_path / "v.mp4")
    monkeypatch.setattr(extract, "BUFFER_BYTES", 0)
    streamed = extract.extract_video(path, [0, 4, 9], bright_corner, size=24, margin=1.2)
    at_once = crop_faces(read_frames(path, [0, 4, 9]), bright_corner, size=24, margin=1.2)
    for a, b in zip(streamed, at_once):
        assert np.array_equal(a, b)


def test_a_record_keeps_source_frame_numbers_and_sharpness(tmp_path, make_video):
    settings = Settings(detector="none", frames=None, every=8, size=32)
    out = tmp_path / "out"
    fields = extract_record(str(out), settings, task(make_video(tmp_path / "v.mp4")))
    assert fields["frame_indices"] == [0, 8, 16] and fields["n_frames"] == 20
    assert fields["frames_dir"] == "crops/d/v"
    folder = out / "crops/d/v"
    assert sorted(p.name for p in folder.glob("*.jpg")) == [
        "000000.jpg",
        "000008.jpg",
        "000016.jpg",
    ]
    assert fields["face_found"] == [False] * 3 and len(fields["quality"]) == 3
    assert fields["boxes"] == [[8.0, 0.0, 56.0, 48.0]] * 3
    crop = cv2.imread(str(folder / "000008.jpg"))
    assert abs(float(crop[20:, 20:].mean()) - 90) < 5
    assert load_finished(out, "d/v", None) == fields
    assert load_finished(out, "d/v", fields["sha256"]) == fields


def test_crops_of_a_file_that_has_changed_do_not_count(tmp_path, make_video):
    settings = Settings(detector="none", frames=4, size=16)
    out = tmp_path / "out"
    path = make_video(tmp_path / "v.mp4", n_frames=20)
    old = extract_record(str(out), settings, task(path))
    make_video(path, n_frames=10)
    assert load_finished(out, "d/v", "0" * 64) is None
    new = extract_record(str(out), settings, task(path))
    assert old["frame_indices"] == [0, 6, 13, 19] and new["frame_indices"] == [0, 3, 6, 9]
    assert len(list((out / "crops/d/v").glob("*.jpg"))) == 4  # none of the old ones is left


def test_a_file_that_is_not_the_indexed_one_is_an_input_error(tmp_path, make_video):
    changed = task(make_video(tmp_path / "v.mp4")) | {"sha256": "0" * 64}
    with pytest.raises(InputError, match="changed since it was indexed"):
        extract_record(str(tmp_path / "out"), Settings(detector="none"), changed)


def test_half_written_crops_are_replaced_and_others_below_them_kept(tmp_path, make_video):
    folder = tmp_path / "out/crops/d/v"
    (folder / "w").mkdir(parents=True)
    (folder / "w" / "000001.jpg").write_bytes(b"of the video d/v/w")
    (folder / "000001.jpg").write_bytes(b"half")
    assert load_finished(tmp_path / "out", "d/v", None) is None
    settings = Settings(detector="none", frames=2, size=16)
    extract_record(str(tmp_path / "out"), settings, task(make_video(tmp_path / "v.mp4")))
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*"))
    assert names == ["000000.jpg", "000019.jpg", "faces.json", "w/000001.jpg"]


def test_frames_are_chosen_again_where_the_stream_promised_too_many(
    tmp_path, make_video, monkeypatch
):
    path = make_video(tmp_path / "v.mp4")
    real = extract.extract_video

    def short(path, indices, detector, **options):
        if indices[-1] >= 16:
            raise ShortVideoError("short", 16)
        return real(path, indices, detector, **options)

    monkeypatch.setattr(extract, "extract_video", short)
    settings = Settings(detector="none", frames=4, size=16)
    fields = extract_record(str(tmp_path / "out"), settings, task(path))
    assert fields["frame_indices"] == [0, 5, 10, 15] and fields["n_frames"] == 16


def test_a_record_without_a_file_is_an_input_error(tmp_path):
    none = {"video_id": "d/v", "root": None, "path": None, "sha256": None}
    with pytest.raises(InputError, match="names no file"):
        extract_record(str(tmp_path), Settings(detector="none"), none)


def test_detectors_are_made_once_per_process():
    assert extract._detector("none", None) is extract._detector("none", None)
    assert extract._detector("none", None) is make_detector("none")


def test_the_error_log_starts_afresh(tmp_path):
    path = tmp_path / "new" / "errors.jsonl"
    log = ErrorLog(path)
    assert not path.exists()
    log.add(video_id="d/v", path="caf\udce9.mp4", stage="probe", error="bad")
    log.add(video_id="d/w", path="w.mp4", stage="probe", error="worse")
    assert log.count == 2
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[1] == {"video_id": "d/w", "path": "w.mp4", "stage": "probe", "error": "worse"}
    assert lines[0]["path"] == "caf\udce9.mp4"
    assert ErrorLog(path).count == 0 and not path.exists()
