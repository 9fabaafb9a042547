"""Damaged side files of extraction and compression: work goes on, or one line says how."""

import json

import pytest

from dfjax.data.faces.compress import compress_record
from dfjax.data.faces.extract import extract_record, load_finished
from dfjax.data.faces.extract_index import extract_index, open_output
from dfjax.data.faces.faces_file import FACES_FILE
from dfjax.data.faces.settings import ExtractionSettings
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import FileError

SETTINGS = ExtractionSettings(detector="none", frames=2, size=16)
DAMAGED = ["", "[", "[]", "null", "{}", "[null]", "[{}]", '[{"sha256": null}]', "3", "[" * 9999]


@pytest.fixture
def made(tmp_path, make_video):
    path = make_video(tmp_path / "v.mp4", n_frames=4)
    record = make_record(video_id="d/v", dataset="d", label=0, root=str(tmp_path), path=path.name)
    write_index(make_index([record]), tmp_path / "index.parquet", command="test")
    extract_index(tmp_path / "index.parquet", tmp_path / "out", SETTINGS, workers=1)
    return tmp_path


@pytest.mark.parametrize("text", DAMAGED)
def test_a_video_with_a_damaged_faces_file_is_extracted_again(made, text):
    file = made / "out/crops/d/v" / FACES_FILE
    content = file.read_text()
    file.write_text(text)
    assert load_finished(made / "out", "d/v", None) is None
    task = {"video_id": "d/v", "root": str(made), "path": "v.mp4", "sha256": None}
    extract_record(str(made / "out"), SETTINGS, task)
    assert file.read_text() == content


@pytest.mark.parametrize(
    "change",
    [
        {"frame_indices": [0]},
        {"frame_indices": []},
        {"frame_indices": None},
        {"face_found": [True, None]},
        {"boxes": [[0, 0, 1, 1], None]},
        {"quality": [1.0]},
        {"frames_dir": "../../elsewhere"},
        {"video_id": "d/other"},
        {"n_frames": "4"},
    ],
)
def test_a_faces_file_that_does_not_fit_its_crops_does_not_count(made, change):
    file = made / "out/crops/d/v" / FACES_FILE
    (row,) = json.loads(file.read_text())
    file.write_text(json.dumps([row | {"label": 1}]))  # of the index, not of this file
    assert load_finished(made / "out", "d/v", None) == [row]
    file.write_text(json.dumps([row | change]))
    assert load_finished(made / "out", "d/v", None) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"size": 16, "size": 17}'])
def test_damaged_settings_say_how_to_continue(made, text):
    file = made / "out/extraction.json"
    file.write_text(text)
    with pytest.raises(FileError, match="is damaged: .*delete .*out, or choose another folder"):
        open_output(made / "out", SETTINGS)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"made_from": {}}'])
def test_a_video_with_a_damaged_note_is_compressed_again(tmp_path, make_video, text):
    make_video(tmp_path / "v.mp4", n_frames=2)
    task = {"video_id": "d/v", "root": str(tmp_path), "path": "v.mp4", "sha256": None}
    fields = compress_record(str(tmp_path / "out"), 30, task)
    note = tmp_path / "out/videos/d/v.json"
    note.write_text(text)
    assert compress_record(str(tmp_path / "out"), 30, task) == fields
    assert json.loads(note.read_text()) == fields | {
        "made_from": {"sha256": json.loads(note.read_text())["made_from"]["sha256"], "crf": 30}
    }
