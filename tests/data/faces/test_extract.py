"""Tests the extraction of one video: frames, pixels, and what a second call reuses."""

import dataclasses
import json

import cv2
import numpy as np
import pandas as pd
import pytest

from dfjax.data.faces import extract
from dfjax.data.faces.crops import crop_faces
from dfjax.data.faces.detectors import Detections, make_detector
from dfjax.data.faces.extract import extract_record, load_finished
from dfjax.data.faces.extract_index import check_ids
from dfjax.data.faces.settings import ExtractionSettings, check_settings, choose_frames
from dfjax.data.faces.video import ShortVideoError, read_frames
from dfjax.data.index.error_log import ErrorLog
from dfjax.errors import InputError, UsageError


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
    settings = ExtractionSettings(detector="none", frames=None, every=8, size=32)
    out = tmp_path / "out"
    (fields,) = extract_record(str(out), settings, task(make_video(tmp_path / "v.mp4")))
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
    assert load_finished(out, "d/v", None) == [fields]
    assert load_finished(out, "d/v", fields["sha256"]) == [fields]


def test_crops_of_a_file_that_has_changed_do_not_count(tmp_path, make_video):
    settings = ExtractionSettings(detector="none", frames=4, size=16)
    out = tmp_path / "out"
    path = make_video(tmp_path / "v.mp4", n_frames=20)
    (old,) = extract_record(str(out), settings, task(path))
    make_video(path, n_frames=10)
    assert load_finished(out, "d/v", "0" * 64) is None
    (new,) = extract_record(str(out), settings, task(path))
    assert old["frame_indices"] == [0, 6, 13, 19] and new["frame_indices"] == [0, 3, 6, 9]
    assert len(list((out / "crops/d/v").glob("*.jpg"))) == 4  # none of the old ones is left


def test_a_file_that_is_not_the_indexed_one_is_an_input_error(tmp_path, make_video):
    changed = task(make_video(tmp_path / "v.mp4")) | {"sha256": "0" * 64}
    with pytest.raises(InputError, match="changed since it was indexed"):
        extract_record(str(tmp_path / "out"), ExtractionSettings(detector="none"), changed)


def test_half_written_crops_are_replaced_and_others_below_them_kept(tmp_path, make_video):
    folder = tmp_path / "out/crops/d/v"
    (folder / "w").mkdir(parents=True)
    (folder / "w" / "000001.jpg").write_bytes(b"of the video d/v/w")
    (folder / "000001.jpg").write_bytes(b"half")
    assert load_finished(tmp_path / "out", "d/v", None) is None
    settings = ExtractionSettings(detector="none", frames=2, size=16)
    extract_record(str(tmp_path / "out"), settings, task(make_video(tmp_path / "v.mp4")))
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*"))
    assert names == ["000000.jpg", "000019.jpg", "faces.json", "w/000001.jpg"]


def test_frames_are_chosen_again_where_the_stream_promised_too_many(
    tmp_path, make_video, monkeypatch
):
    path = make_video(tmp_path / "v.mp4")
    real = extract.extract_faces

    def short(path, indices, *arguments, **options):
        if indices[-1] >= 16:
            raise ShortVideoError("short", 16)
        return real(path, indices, *arguments, **options)

    monkeypatch.setattr(extract, "extract_faces", short)
    settings = ExtractionSettings(detector="none", frames=4, size=16)
    (fields,) = extract_record(str(tmp_path / "out"), settings, task(path))
    assert fields["frame_indices"] == [0, 5, 10, 15] and fields["n_frames"] == 16


def test_a_record_without_a_file_is_an_input_error(tmp_path):
    none = {"video_id": "d/v", "root": None, "path": None, "sha256": None}
    with pytest.raises(InputError, match="the index names no file"):
        extract_record(str(tmp_path), ExtractionSettings(detector="none"), none)


def test_detectors_are_made_once_per_process():
    assert extract.open_detector("none", None) is extract.open_detector("none", None)
    assert extract.open_detector("none", None) is make_detector("none")


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


def two_faces(n_frames):
    """Returns faces in the bright quarter and, from the second frame on, in the opposite corner."""
    small, large = [0, 0, 12, 12], [40, 24, 64, 48]
    return {
        str(k): {"boxes": [small, large] if k else [small], "scores": [0.9, 0.5][: 1 + (k > 0)]}
        for k in range(n_frames)
    }


@pytest.fixture
def with_faces(tmp_path, make_video):
    """Returns a video of two faces, and settings with which they are read from a file."""
    path = tmp_path / "m/c23/videos/v.mp4"
    path.parent.mkdir(parents=True)
    make_video(path, n_frames=6)
    file = tmp_path / "faces.json"
    file.write_text(json.dumps({"d/v": two_faces(6)}))
    settings = ExtractionSettings(
        detector="precomputed", detector_model=str(file), every=1, frames=None, size=16, margin=1.0
    )
    return task(path) | {"root": str(tmp_path), "path": "m/c23/videos/v.mp4"}, settings


def test_all_faces_are_rows_of_their_own(tmp_path, with_faces):
    video, settings = with_faces
    out = tmp_path / "out"
    rows = extract_record(str(out), dataclasses.replace(settings, faces="all"), video)
    assert [(r["video_id"], r["face"], r["frames_dir"]) for r in rows] == [
        ("d/v", 0, "crops/d/v"), ("d/v#1", 1, "crops/d/v#1"),
    ]  # fmt: skip
    assert rows[0]["frame_indices"] == [1, 2, 3, 4, 5] and rows[0]["boxes"][0] == [40, 24, 64, 48]
    assert rows[1]["frame_indices"] == [0, 1, 2, 3, 4, 5] and rows[1]["face_score"] == [0.9] * 6
    assert len(list((out / "crops/d/v#1").glob("*.jpg"))) == 6
    assert load_finished(out, "d/v", None) == rows
    (best,) = extract_record(str(out), settings, video)
    assert "video_id" not in best and best["boxes"][5] == [40, 24, 64, 48]


def test_faces_that_are_no_longer_found_leave_no_crops(tmp_path, with_faces):
    video, settings = with_faces
    every = dataclasses.replace(settings, faces="all")
    extract_record(str(tmp_path / "out"), every, video)
    file = tmp_path / "faces.json"
    one = {k: {"boxes": v["boxes"][:1]} for k, v in two_faces(6).items()}
    file.write_text(json.dumps({"d/v": one}))
    extract.open_detector.cache_clear()
    (row,) = extract_record(str(tmp_path / "out"), every, video)
    assert row["video_id"] == "d/v" and not (tmp_path / "out/crops/d/v#1").exists()


def test_a_video_named_like_a_face_keeps_its_crops(tmp_path, make_video):
    """`x#1.mp4` beside `x.mp4`, in both orders, also while `x#1` is only half written."""
    settings = ExtractionSettings(detector="none", frames=3, size=16)
    out = tmp_path / "out"
    one, two = make_video(tmp_path / "x.mp4"), make_video(tmp_path / "x#1.mp4", n_frames=9)
    half = out / "crops/d/x#1/000000.jpg"
    half.parent.mkdir(parents=True)
    half.touch()
    for path in (one, two, one):
        extract_record(str(out), settings, task(path) | {"video_id": f"d/{path.stem}"})
        assert half.exists()
    for name, last in (("x", 19), ("x#1", 8)):
        (row,) = load_finished(out, f"d/{name}", None)
        assert (
            row["frame_indices"][-1] == last
            and len(list((out / row["frames_dir"]).glob("*.jpg"))) == 3
        )


def test_a_video_whose_crops_are_gone_is_not_finished(tmp_path, make_video):
    settings, out = ExtractionSettings(detector="none", frames=3, size=16), tmp_path / "out"
    (row,) = extract_record(str(out), settings, task(make_video(tmp_path / "v.mp4")))
    (out / row["frames_dir"] / "000000.jpg").unlink()
    assert load_finished(out, "d/v", None) is None


def test_the_mask_of_the_data_set_chooses_the_face(tmp_path, with_faces):
    video, settings = with_faces
    settings = dataclasses.replace(settings, faces="mask")
    (without,) = extract_record(str(tmp_path / "a"), settings, video)
    assert without["boxes"][0] == [40, 24, 64, 48]  # no mask there: the largest
    video["mask_path"] = "m/masks/videos/v.mp4"
    masks = tmp_path / "m/masks/videos"
    masks.mkdir(parents=True)
    write_mask(masks / "v.mp4", n_frames=4)
    (chosen,) = extract_record(str(tmp_path / "b"), settings, video)
    assert chosen["boxes"][0] == [0, 0, 12, 12] and chosen["face_size"] == [12.0] * 6
    (masks / "v.mp4").write_text("broken")
    with pytest.raises(InputError, match="its mask v.mp4 cannot be read"):
        extract_record(str(tmp_path / "c"), settings, video)


def write_mask(path, n_frames):
    """Writes a mask that is white in the top left, half as large and shorter than the video."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (32, 24))
    image = np.zeros((24, 32, 3), np.uint8)
    image[:8, :8] = 255
    for _ in range(n_frames):
        writer.write(image)
    writer.release()


def test_crops_below_a_quality_are_left_out(tmp_path, with_faces):
    video, settings = with_faces
    good = dataclasses.replace(settings, min_quality=(("score", 0.4), ("size", 20.0)))
    (fields,) = extract_record(str(tmp_path / "a"), good, video)
    assert fields["frame_indices"] == [1, 2, 3, 4, 5]  # the face was not detected in frame 0
    assert {len(fields[name]) for name in ("boxes", "quality", "face_found", "face_visible")} == {5}
    assert len(list((tmp_path / "a/crops/d/v").glob("*.jpg"))) == 5
    better = dataclasses.replace(settings, min_quality=(("score", 0.6),))
    with pytest.raises(
        InputError, match="none of its face crops reaches the minimum quality .score=0.6."
    ):
        extract_record(str(tmp_path / "b"), better, video)


def test_what_the_settings_need_is_checked_before_any_video(tmp_path):
    for settings, message in [
        (ExtractionSettings(align=True), "align needs landmarks"),
        (ExtractionSettings(min_quality=(("score", 0.5),)), "score needs landmarks and scores"),
        (ExtractionSettings(min_quality=(("sharpnes", 0.5),)), "Did you mean 'sharpness'"),
        (ExtractionSettings(faces="al"), "Did you mean 'all'"),
        (ExtractionSettings(detector="precomputed"), "need detector_model"),
    ]:
        with pytest.raises(UsageError, match=message):
            check_settings(settings)
    ids = pd.DataFrame({"video_id": ["d/a#1"]})
    check_ids(ids, tmp_path, ExtractionSettings())
    for names, message in [
        (["d/a/faces.json"], "names a file of another video"),
        (["d/a/000001.jpg/b"], "names a file of another video"),
        (["d/a", "d//a"], "name the same folder"),
    ]:
        with pytest.raises(UsageError, match=message):
            check_ids(pd.DataFrame({"video_id": names}), tmp_path, ExtractionSettings())
    with pytest.raises(UsageError, match="those that faces=all adds"):
        check_ids(ids, tmp_path, ExtractionSettings(faces="all"))
