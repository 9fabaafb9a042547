"""Tests merging indexes: unchanged rows, new relative paths of crops, and duplicate videos."""

import json

import pytest

from dfjax import FAKE, REAL
from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, read_index, write_index


def write(path, *rows):
    write_index(make_index(list(rows)), path, command="test")
    return str(path)


def row(video_id, label=REAL, **fields):
    method = "swap" if label == FAKE else "real"
    dataset = video_id.split("/")[0]
    return make_record(video_id=video_id, dataset=dataset, label=label, method=method, **fields)


def test_rows_stay_and_crops_are_found(tmp_path, capsys):
    a = write(
        tmp_path / "one/index.parquet",
        row("a/1", frames_dir="crops/a/1", frame_indices=[0, 4], donor_ids=["x"], n_frames=5),
        row("a/2"),
    )
    b = write(
        tmp_path / "two/index.parquet",
        row("b/1", FAKE, frames_dir="/data/b/1", frame_indices=[1], frame_names=["1.png"]),
    )
    out = tmp_path / "all" / "index.parquet"
    assert main(["data", "merge", a, b, "--out", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["videos"] == 3 and summary["datasets"] == {"a": 2, "b": 1}
    merged = read_index(out)
    assert merged["video_id"].tolist() == ["a/1", "a/2", "b/1"]
    assert merged["frames_dir"].tolist()[::2] == ["../one/crops/a/1", "/data/b/1"]
    assert merged["frames_dir"].isna().tolist() == [False, True, False]
    assert merged["frame_names"].tolist() == [None, None, ["1.png"]]
    kept = [c for c in read_index(a) if c != "frames_dir"]
    assert merged.iloc[:2][kept].equals(read_index(a)[kept])


def test_an_index_beside_keeps_its_paths(tmp_path):
    a = write(tmp_path / "a.parquet", row("a/1", frames_dir="crops/1", frame_indices=[0]))
    b = write(tmp_path / "b.parquet", row("b/1"))
    assert main(["data", "merge", a, b, "--out", str(tmp_path / "c.parquet")]) == 0
    assert read_index(tmp_path / "c.parquet")["frames_dir"][0] == "crops/1"


def test_a_video_in_two_indexes_is_refused(tmp_path, capsys):
    a = write(tmp_path / "a.parquet", row("a/1"), row("a/2"))
    b = write(tmp_path / "b.parquet", row("a/2", FAKE))
    assert main(["data", "merge", a, b, "--out", str(tmp_path / "c.parquet")]) == 2
    assert "1 videos are in more than one of the indexes: a/2" in capsys.readouterr().err
    assert not (tmp_path / "c.parquet").exists()
    assert main(["data", "merge", a, "--out", str(tmp_path / "c.parquet")]) == 2
    assert "two or more" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["mine"])
def test_a_column_of_two_types_is_refused(tmp_path, capsys, column):
    for name, value in (("a", 1), ("b", "text")):
        table = make_index([row(f"{name}/1")]).assign(**{column: [value]})
        write_index(table, tmp_path / f"{name}.parquet", command="test")
    command = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    assert main(["data", "merge", *command, "--out", str(tmp_path / "c.parquet")]) == 2
    assert "cannot be merged" in capsys.readouterr().err
