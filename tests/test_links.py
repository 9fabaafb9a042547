"""Symbolic links in a folder that somebody else made lead to no file that is changed or removed."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.faces.compress import compress_record
from dfjax.data.faces.extract import extract_record
from dfjax.data.faces.settings import ExtractionSettings
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.store.deepfakebench_export import export_deepfakebench
from dfjax.data.store.flow_index import FlowTask, make_flow
from dfjax.errors import InputError, UsageError
from dfjax.experiment import workdir
from dfjax.files import lock_folder
from dfjax.inference import ensemble, evaluate
from dfjax.inference.audit_log import check_folder
from dfjax.outputs import check_inside, check_links

JPEG = cv2.imencode(".jpg", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()


@pytest.fixture
def mine(tmp_path):
    """A folder of the user's, which must stay as it is."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("000000.jpg", "000000.png", "2019.txt", "metrics.jsonl"):
        (folder / name).write_bytes(JPEG)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    yield folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert all(path.read_bytes() == JPEG for path in before)


def test_links_within_a_folder_and_to_the_folder_are_followed(tmp_path, mine):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last").symlink_to("best")
    (tmp_path / "alias").symlink_to(tmp_path / "run")
    check_links(tmp_path / "alias")
    check_inside(tmp_path / "alias" / "new" / "a.txt", tmp_path / "run")
    (tmp_path / "run" / "away").symlink_to(mine)
    for check in (check_links, lambda folder: check_inside(folder / "away" / "x", folder)):
        with pytest.raises(UsageError, match="leads out of .*run through a symbolic link"):
            check(tmp_path / "run")


@pytest.mark.parametrize("name", [".lock", "metrics.jsonl", "checkpoints", "checkpoints/last"])
def test_a_run_writes_only_to_its_workdir(tmp_path, mine, name):
    folder = tmp_path / "run"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(mine if "checkpoints" in name else mine / "2019.txt")
    with pytest.raises(UsageError, match="symbolic link"), workdir.locked(folder):
        pass


def test_a_lock_is_no_link(tmp_path, mine, capsys):
    (tmp_path / ".out.lock").symlink_to(mine / "2019.txt")
    with pytest.raises(OSError, match="symbolic links"), lock_folder(tmp_path / "out"):
        pass


def test_an_evaluation_stays_in_the_workdir(tmp_path, mine, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "eval").symlink_to(mine)
    scorer = SimpleNamespace(workdir=tmp_path / "run")
    monkeypatch.setattr(ensemble, "load_ensemble", lambda *args, **options: scorer)
    with pytest.raises(UsageError, match="symbolic link"):
        evaluate.evaluate(tmp_path / "run")


def test_a_log_that_is_a_link_is_not_continued(tmp_path, mine):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.jsonl").symlink_to(tmp_path / "new.jsonl")
    with pytest.raises(UsageError, match="predictions.jsonl is a symbolic link"):
        check_folder(tmp_path / "out", [tmp_path / "a.mp4"])


@pytest.fixture
def task(tmp_path, mine):
    """An image of the data set d, and a folder OUT whose folders of d are the user's."""
    (tmp_path / "a.jpg").write_bytes(JPEG)
    for name in ("crops", "videos", "flow"):
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "d").symlink_to(mine)
    return {"video_id": "d/a", "root": str(tmp_path), "path": "a.jpg", "sha256": None}


def test_crops_videos_and_flow_stay_in_their_folder(tmp_path, mine, task):
    out, link = str(tmp_path / "out"), "through a symbolic link"
    settings = ExtractionSettings(detector="none", size=16)
    with pytest.raises(InputError, match=link):
        extract_record(out, settings, task | {"video_id": "d"})
    with pytest.raises(InputError, match=link):
        compress_record(out, 23, task)
    crops = [str(tmp_path / "a.jpg")] * 2
    with pytest.raises(InputError, match=link):
        make_flow(1, FlowTask("d", [0, 1], crops, out, f"{out}/flow/d", None))


def test_faces_that_are_links_are_removed_and_not_followed(tmp_path, mine, task):
    out = tmp_path / "new"
    (out / "crops" / "d").mkdir(parents=True)
    (out / "crops" / "d" / "a#1").symlink_to(mine)
    settings = ExtractionSettings(detector="none", size=16, faces="all")
    extract_record(str(out), settings, task)
    assert sorted(path.name for path in (out / "crops" / "d").iterdir()) == ["a"]


def test_an_export_replaces_links(tmp_path, mine):
    cv2.imwrite(str(tmp_path / "000000.jpg"), np.zeros((8, 8, 3), np.uint8))
    row = make_record(
        video_id="d/a", dataset="d", label=0, frames_dir=str(tmp_path), frame_indices=[0]
    )
    write_index(make_index([row]), tmp_path / "index.parquet", command="test")
    out = tmp_path / "out"
    export_deepfakebench(tmp_path / "index.parquet", out)
    (frame,) = out.rglob("000.png")
    frame.unlink()
    frame.symlink_to(mine / "000000.png")
    export_deepfakebench(tmp_path / "index.parquet", out)
    assert not frame.is_symlink()
    folder = frame.parent
    frame.unlink()
    folder.rmdir()
    folder.symlink_to(mine)
    with pytest.raises(UsageError, match="through a symbolic link"):
        export_deepfakebench(tmp_path / "index.parquet", out)


def test_samples_do_not_replace_videos(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "holiday.mp4").write_text("mine")
    command = ["data", "synth", "--videos", "24", "--identities", "6", "--mp4", "2", "--out"]
    assert main([*command, str(tmp_path)]) == 2
    assert "holds files that dfjax did not write" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["videos", "holiday.mp4"]
