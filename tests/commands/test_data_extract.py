"""`dfjax data extract`: the same crops for any worker count, resumable, refusing what differs."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.faces import extract_index
from dfjax.data.index.records import make_index, make_record, read_index, write_index

RNG = np.random.default_rng(0)


@pytest.fixture
def index(tmp_path):
    """Three images and a file that is none; not probed."""
    rows = []
    for name in ("a", "b", "c", "bad"):
        image = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        rows.append(
            make_record(
                video_id=f"set/x/{name}",
                dataset="set",
                label=len(rows) % 2,
                method="real" if len(rows) % 2 == 0 else "m",
                root=str(tmp_path),
                path=f"{name}.png",
            )
        )
    (tmp_path / "bad.png").write_text("not an image")
    path = tmp_path / "index.parquet"
    write_index(make_index(rows), path, command="test")
    return path


def extract(index, out, *arguments):
    command = ["data", "extract", "--index", str(index), "--out", str(out), "--detector", "none"]
    return main([*command, "--size", "32", "--json", *arguments])


def contents(out):
    return {p.relative_to(out): p.read_bytes() for p in sorted(out.glob("crops/**/*.*"))}


def test_crops_do_not_depend_on_the_workers(index, tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    assert extract(index, one, "--workers", "1") == 1
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["videos"], summary["crops"], summary["unreadable"]) == (3, 3, 1)
    assert len(summary["videos_without_face"]) == 3
    assert extract(index, two, "--workers", "2") == 1
    assert contents(one) == contents(two) and len(contents(one)) == 6
    rows = read_index(one / "index.parquet")
    assert rows.equals(read_index(two / "index.parquet"))
    assert rows["video_id"].tolist() == ["set/x/a", "set/x/b", "set/x/c"]
    assert rows["frames_dir"][0] == "crops/set/x/a"
    assert rows["frame_indices"][0] == [0] and rows["face_found"][0] == [False]
    assert rows["boxes"][0] == [[10.0, 0.0, 50.0, 40.0]]
    assert rows["n_frames"].tolist() == [1, 1, 1]  # probed on the way
    crop = cv2.imread(str(one / "crops/set/x/a/000000.jpg"))
    assert crop.shape == (32, 32, 3)
    (line,) = (one / "errors.jsonl").read_text().splitlines()
    assert json.loads(line)["video_id"] == "set/x/bad"
    assert json.loads(line)["stage"] == "extract"


def test_an_interrupted_run_continues(index, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"

    def stop_after_one(items, **kwargs):
        yield next(iter(items))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extract_index, "track", stop_after_one)
        assert extract(index, out, "--workers", "1") == 130
    assert "the same command continues" in capsys.readouterr().err
    assert not (out / "index.parquet").exists()
    done = len(list(out.glob("crops/set/x/*/faces.json")))
    assert done >= 1
    assert extract(index, out, "--workers", "1") == 1
    first = contents(out)
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["reused"] >= done and summary["videos"] == 3
    shutil.rmtree(out / "crops/set/x/b")
    assert extract(index, out, "--workers", "1") == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["reused"] == 2
    assert contents(out) == first


def test_other_settings_in_a_used_folder_are_refused(index, tmp_path, capsys):
    out = tmp_path / "out"
    assert extract(index, out, "--workers", "1") == 1
    assert extract(index, out, "--every", "3", "--margin", "1.5") == 2
    error = capsys.readouterr().err
    for change in ("frames: 32 -> None", "every: None -> 3", "margin: 1.3 -> 1.5"):
        assert change in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "3", "--every", "2"], "not allowed with"),
        (["--frames", "0"], "frames must be positive"),
        (["--time-limit", "-1"], "time_limit must be positive"),
        (["--min-face", "30"], "min_face is a setting of the face detector mtcnn"),
        (["--detector", "mtcn"], "unknown face detector"),
        (["--align"], "align needs landmarks"),
        (["--faces", "every"], "unknown choice of faces"),
        (["--min-quality", "size"], "not of the form NAME=NUMBER"),
        (["--index", "absent.parquet"], "no index at absent.parquet"),
    ],
)
def test_wrong_usage_is_one_line(index, tmp_path, capsys, arguments, message):
    assert extract(index, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_choosing_by_masks_that_nobody_has_is_told(index, tmp_path, capsys):
    extract(index, tmp_path / "out", "--faces", "mask", "--workers", "1")
    assert "the index names no masks" in capsys.readouterr().err


def test_the_index_it_reads_is_not_overwritten(index, capsys):
    assert extract(index, index.parent) == 2
    assert "is an input and would be overwritten" in capsys.readouterr().err


def test_ids_that_lead_elsewhere_are_refused(tmp_path, capsys):
    row = make_record(video_id="../../x", dataset="d", label=0, path="a.png")
    write_index(make_index([row]), tmp_path / "i.parquet", command="test")
    assert extract(tmp_path / "i.parquet", tmp_path / "out") == 2
    assert "cannot name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("faces", ["best", "all"])
def test_videos_with_the_names_of_faces_keep_their_crops(tmp_path, capsys, faces):
    names = ("real/x", "real/x#1", "real/x#2", "fake/y", "fake/y#1")
    for name in names:
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    index = tmp_path / "videos.parquet"
    assert main(["data", "index", "--adapter", "folder", "--root", str(tmp_path / "set"),
                 "--out", str(index)]) == 0  # fmt: skip
    assert "3 video_ids look like names that extraction gives" in capsys.readouterr().err
    out = tmp_path / "out"
    assert extract(index, out, "--workers", "2", "--faces", faces) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = read_index(out / "index.parquet")
    assert summary["videos"] == len(rows) == 5
    assert summary["crops"] == len(list(out.glob("crops/**/*.jpg"))) == 5
    assert rows["video_id"].is_unique and rows["frames_dir"].is_unique
    assert sorted(Path(path).stem for path in rows["path"]) == ["x", "x#1", "x#2", "y", "y#1"]


@pytest.mark.slow
@pytest.mark.samples
def test_a_face_in_nearly_every_frame_of_the_samples(samples, tmp_path):
    index = tmp_path / "index.parquet"
    assert main(["data", "index", "--adapter", "ffpp", "--root", str(samples / "ffpp"),
                 "--out", str(index)]) == 0  # fmt: skip
    command = ["data", "extract", "--index", str(index), "--out", str(tmp_path / "out")]
    assert main([*command, "--frames", "6", "--size", "64"]) == 0
    rows = read_index(tmp_path / "out" / "index.parquet")
    assert len(rows) == 7
    for row in rows.itertuples():
        assert len(row.face_found) == 6
        assert len(list((tmp_path / "out" / row.frames_dir).glob("*.jpg"))) == 6
    assert np.mean([*rows["face_found"]]) >= 0.95
