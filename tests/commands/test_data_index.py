"""`dfjax data index`: the table, the files left out, the exit codes."""

import json
import os

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.index.records import read_index


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    for kind in ("real", "fake"):
        (root / kind).mkdir(parents=True)
        for i in range(3):
            image = np.full((10, 12, 3), 40 * i, np.uint8)
            cv2.imwrite(str(root / kind / f"{i}.png"), image)
    return root


def index(folder, *arguments):
    out = folder.parent / "work" / "index.parquet"
    command = ["data", "index", "--adapter", "folder", "--root", str(folder), "--out", str(out)]
    return main([*command, "--workers", "1", "--json", *arguments]), out


def test_every_file_is_probed(folder, capsys):
    code, out = index(folder)
    assert code == 0
    rows = read_index(out)
    assert rows["n_frames"].tolist() == [1] * 6 and rows["width"].tolist() == [12] * 6
    assert rows["sha256"].str.len().tolist() == [64] * 6
    assert rows["pair_id"].notna().sum() == 3
    captured = capsys.readouterr()
    summary = json.loads(captured.out.splitlines()[-1])
    assert (summary["real"], summary["fake"], summary["unreadable"]) == (3, 3, 0)
    assert summary["splits"] == {"train": 2, "val": 2, "test": 2}
    assert "3 fakes are paired" in captured.err
    assert not (out.parent / "errors.jsonl").exists()


def test_without_probing_no_file_is_opened(folder):
    (folder / "real" / "0.png").write_bytes(b"")
    code, out = index(folder, "--no-probe")
    rows = read_index(out)
    assert code == 0 and len(rows) == 6
    assert rows["n_frames"].isna().all() and rows["sha256"].isna().all()


def test_splits_are_assigned_among_what_can_be_read(folder):
    for i in range(3, 8):
        (folder / "real" / f"{i}.png").touch()
        (folder / "fake" / f"{i}.png").write_text("no image")
    code, out = index(folder)
    assert code == 1
    assert sorted(read_index(out)["split"]) == ["test", "test", "train", "train", "val", "val"]


def test_unreadable_files_are_listed_and_left_out(folder, capsys):
    (folder / "real" / "0.png").write_bytes(b"")
    (folder / "fake" / "text.mp4").write_text("no video")
    with open(os.fsencode(folder / "fake") + b"/caf\xe9.png", "wb") as file:
        file.write((folder / "fake" / "1.png").read_bytes())
    code, out = index(folder)
    assert code == 1
    rows = read_index(out)
    assert len(rows) == 5
    assert rows.set_index("path")["pair_id"].isna()["fake/0.png"]  # its real is unreadable
    lines = (out.parent / "errors.jsonl").read_text().splitlines()
    errors = {json.loads(line)["path"]: json.loads(line)["error"] for line in lines}
    assert errors["real/0.png"] == "empty file (0 bytes)"
    assert errors["fake/text.mp4"].startswith("not a video")
    assert sum("not valid UTF-8" in error for error in errors.values()) == 1
    assert "3 files could not be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compression", "c23"], "the adapter folder has no option compression"),
        (["--adapter", "foldr"], "Did you mean 'folder'"),
        (["--root", "/absent"], "the folder /absent does not exist"),
        (["--ratios", "1,2"], "three non-negative numbers"),
        (["--ratios", "a,b,c"], "ratios"),
        (["--workers", "0"], "must be positive"),
    ],
)
def test_wrong_usage_is_one_line(folder, capsys, arguments, message):
    assert index(folder, *arguments)[0] == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_nothing_readable_is_wrong_usage(folder, capsys):
    for file in folder.glob("*/*.png"):
        file.write_bytes(b"")
    assert index(folder)[0] == 2
    assert "none of the 6 files can be read" in capsys.readouterr().err


@pytest.mark.samples
def test_the_seven_samples(samples, tmp_path):
    out = tmp_path / "index.parquet"
    command = ["data", "index", "--adapter", "ffpp", "--root", str(samples / "ffpp")]
    assert main([*command, "--compression", "c23", "--out", str(out)]) == 0
    rows = read_index(out)
    assert rows["label"].value_counts().to_dict() == {0: 3, 1: 4}
    assert rows["split"].value_counts().to_dict() == {"train": 3, "val": 2, "test": 2}
    assert rows.set_index("video_id")["n_frames"]["ffpp/youtube/c23/519"] == 751


def test_problems_of_the_adapter_are_listed_and_counted(tmp_path, capsys):
    """Celeb-DF with a video of one frame, a video that is listed but absent, and a wrong flag."""
    root = tmp_path / "Celeb-DF-v2"
    for name, n_frames in (("Celeb-real/id27_0005", 1), ("Celeb-synthesis/id0_id1_0000", 5)):
        (root / name).parent.mkdir(parents=True)
        code = cv2.VideoWriter_fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(root / f"{name}.mp4"), code, 25, (32, 24))
        for _ in range(n_frames):
            writer.write(np.zeros((24, 32, 3), np.uint8))
        writer.release()
    lines = ["1 Celeb-real/id27_0005.mp4", "1 Celeb-real/id9_0001.mp4", "1 ../x.mp4"]
    (root / "List_of_testing_videos.txt").write_text("\n".join(lines))
    out = tmp_path / "work" / "index.parquet"
    command = ["data", "index", "--adapter", "celebdf", "--root", str(root), "--out", str(out)]
    assert main([*command, "--workers", "1", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["problems"] == {"absent": 1, "refused": 1}
    assert "1 absent:" in captured.out
    errors = [json.loads(line) for line in (out.parent / "errors.jsonl").read_text().splitlines()]
    assert {(e["stage"], e["path"]) for e in errors} == {
        ("index", "Celeb-real/id9_0001.mp4"),
        ("index", "../x.mp4"),
    }
    rows = read_index(out).set_index("video_id")
    assert rows.loc["celebdf_v2/Celeb-real/id27_0005", "n_frames"] == 1
    assert rows["split"].tolist() == ["test", "train"]


def test_videos_without_a_split_go_where_they_are_told(tmp_path, capsys):
    root = tmp_path / "UADFV"
    for name in ("real/0000", "fake/0000_fake"):
        (root / name).parent.mkdir(parents=True)
        cv2.imwrite(str(root / f"{name}.png"), np.zeros((10, 12, 3), np.uint8))
    command = ["data", "index", "--adapter", "uadfv", "--root", str(root), "--workers", "1"]
    for option, split in (([], "none"), (["--default-split", "test"], "test")):
        out = tmp_path / split / "index.parquet"
        assert main([*command, *option, "--out", str(out)]) == 0
        assert set(read_index(out)["split"]) == {split}


def test_what_has_no_counterpart_is_listed_and_no_error(tmp_path, capsys):
    """DeeperForensics with a video that no split names."""
    root = tmp_path / "D"
    for name in ("manipulated_videos/end_to_end", "lists/splits"):
        (root / name).mkdir(parents=True)
    for split in ("train", "val", "test"):
        (root / f"lists/splits/{split}.txt").write_text("000_M101.mp4\n" * (split == "train"))
    for stem in ("000_M101", "001_W001"):
        file = root / f"manipulated_videos/end_to_end/{stem}.png"
        cv2.imwrite(str(file), np.zeros((10, 12, 3), np.uint8))
    out = tmp_path / "index.parquet"
    command = ["data", "index", "--adapter", "deeperforensics", "--root", str(root)]
    assert main([*command, "--workers", "1", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problems"] == {"unlisted": 1}
    (line,) = (tmp_path / "unmatched.jsonl").read_text().splitlines()
    assert json.loads(line)["video_id"] == "deeperforensics/end_to_end/001_W001"
    assert not (tmp_path / "errors.jsonl").exists()
    assert read_index(out)["pair_id"].tolist() == ["ffpp/youtube/c23/000", "ffpp/youtube/c23/001"]
