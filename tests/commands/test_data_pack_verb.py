import json

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, write_index


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "crops" / "v"
    folder.mkdir(parents=True)
    for frame in range(3):
        cv2.imwrite(str(folder / f"{frame:06d}.jpg"), np.full((8, 8, 3), 90, np.uint8))
    row = make_record(
        video_id="v", dataset="set", label=0, frames_dir="crops/v", frame_indices=[0, 1, 2]
    )
    write_index(make_index([row]), tmp_path / "index.parquet", command="test")
    return tmp_path / "index.parquet"


def run(index, *more):
    out = index.parent / "out"
    return main(["data", "pack", "--index", str(index), "--out", str(out), *more])


def test_packs_then_reuses(index, capsys):
    assert run(index, "--json") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert first == {
        "videos": 1, "frames": 3, "crop_size": 8, "errors": 0, "reused": False,
        "out": str(index.parent / "out"),
    }  # fmt: skip
    assert run(index) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 1 and out[0].startswith("reused")


def test_a_missing_frame_is_a_finding_each_time(index, capsys):
    (index.parent / "crops" / "v" / "000001.jpg").unlink()
    for _ in range(2):
        assert run(index, "--json") == 1
        captured = capsys.readouterr()
        assert json.loads(captured.out.splitlines()[-1])["errors"] == 1
        assert "errors.jsonl" in captured.err
    lines = (index.parent / "out" / "errors.jsonl").read_text().splitlines()
    assert [json.loads(line)["video_id"] for line in lines] == ["v"]


def test_wrong_usage_is_one_line(index, capsys):
    assert main(["data", "pack", "--index", "nowhere.parquet", "--out", "x"]) == 2
    assert capsys.readouterr().err.startswith("dfjax: no index at nowhere.parquet")
    (index.parent / "out").write_text("a file")
    assert run(index) == 2
    assert capsys.readouterr().err.count("\n") == 1
