"""Tests that an export to DeepfakeBench can be read back and meets its loader's rules."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from dfjax import FAKE, REAL
from dfjax.commands.main import main
from dfjax.data.index.adapters.deepfakebench import list_deepfakebench
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store.deepfakebench_export import export_deepfakebench
from dfjax.data.store.pack import open_pack
from dfjax.errors import UsageError


def make_row(folder, video_id, label, frames, **fields):
    """Writes crops and returns their row; frame k is gray 10 + k % 200, with a brighter corner."""
    place = folder / "crops" / video_id
    place.mkdir(parents=True)
    for k in frames:
        image = np.full((16, 16, 3), 10 + k % 200, np.uint8)
        image[:8, :8] += 30
        cv2.imwrite(str(place / f"{k:06d}.jpg"), image)
    return make_record(
        video_id=video_id,
        dataset=video_id.split("/")[0],
        label=label,
        frames_dir=f"crops/{video_id}",
        frame_indices=frames,
        boxes=[[1.5, 2.25, 3.0, 4.0 + k] for k in frames],
        face_found=[True] * len(frames),
        quality=[0.5] * len(frames),
        root="/videos",
        path=f"{video_id}.mp4",
        **fields,
    )


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "crops"
    real, fake = "ffpp/youtube/c23/004", "ffpp/Deepfakes/c23/004_982"
    people = {"target_id": "004", "compression": "c23", "split": "test", "group": "ffpp/004"}
    rows = [
        make_row(folder, fake, FAKE, [3, 1200], method="Deepfakes", donor_ids=["982"],
                 pair_id=real, **people),
        make_row(folder, real, REAL, [0, 7], n_frames=396, fps=25.0, sha256="ab", **people),
        make_row(folder, "ffpp/FaceShifter/c23/004_982", FAKE, [5], method="FaceShifter", **people),
        make_row(folder, "mine/fake/swap/a", FAKE, [0, 1, 2], method="swap", split="none"),
        make_row(folder, "mine/real/a", REAL, [4], split="none"),
        make_row(folder, "mine/real/b", REAL, [4], split="train"),
    ]  # fmt: skip
    write_index(make_index(rows), folder / "index.parquet", command="test")
    return folder / "index.parquet"


def without_places(df):
    return df.drop(columns=[c for c in ("frames_dir", "frame_names") if c in df])


def test_index_to_export_to_index_is_the_identity(index, tmp_path, capsys):
    out, back = tmp_path / "bench", tmp_path / "back" / "index.parquet"
    assert main(["data", "export", "--to", "deepfakebench", "--index", str(index),
                 "--out", str(out), "--json"]) == 0  # fmt: skip
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["videos"] == 6 and summary["labels"] == {"mine_Real": 0, "mine_Fake": 1}
    command = ["data", "index", "--adapter", "deepfakebench", "--root", str(out), "--workers", "1"]
    assert main([*command, "--out", str(back)]) == 0
    old, new = read_index(index), read_index(back)
    probed = ["n_frames", "width", "height", "codec", "bytes", "sha256"]
    known = old[probed].notna()
    assert (new[probed].where(known).astype(object).fillna(0)
            == old[probed].where(known).astype(object).fillna(0)).all(axis=None)  # fmt: skip
    kept = [c for c in old if c not in (*probed, "frames_dir")]
    pd.testing.assert_frame_equal(new[kept], old[kept])
    assert new["frame_names"].tolist()[0] == ["003.png", "1200.png"]


def test_what_was_exported_packs_to_the_same_pixels(index, tmp_path):
    out = tmp_path / "bench"
    for source, pack in ((index, "a"), (tmp_path / "back.parquet", "b")):
        if pack == "b":
            export_deepfakebench(index, out)
            rows = list_deepfakebench(out, out=tmp_path).rows
            write_index(make_index(rows), source, command="test")
        assert main(["data", "pack", "--index", str(source), "--out", str(tmp_path / pack)]) == 0
    one, two = open_pack(tmp_path / "a"), open_pack(tmp_path / "b")
    for row in range(len(one)):
        numbers = one.frame_numbers(row)
        assert np.array_equal(numbers, two.frame_numbers(row))
        assert np.array_equal(one.read(row, numbers), two.read(row, numbers))


def test_the_loader_of_deepfakebench_finds_everything_it_asks_for(index, tmp_path):
    """Levels are class, split, (compression,) video; labels are class names, paths relative."""
    out = tmp_path / "bench"
    export_deepfakebench(index, out)
    tables = {p.stem: json.loads(p.read_text()) for p in out.glob("preprocessing/*/*.json")}
    assert set(tables) == {"FaceForensics++", "FF-DF", "FaceShifter", "mine"}
    for name, table in tables.items():
        assert list(table) == [name]
        for class_name, by_split in table[name].items():
            for mode in ("train", "val", "test"):
                level = by_split[mode] if name == "mine" else by_split[mode]["c23"]
                for video in level.values():
                    assert video["label"] == class_name
                    for frame in video["frames"]:
                        assert frame.startswith("./datasets/rgb/") and (out / frame).is_file()
    assert set(tables["FF-DF"]["FF-DF"]) == {"FF-real", "FF-DF"}
    assert set(tables["FaceShifter"]["FaceShifter"]) == {"FF-real", "FF-FH"}
    (frames,) = [v["frames"] for v in tables["FF-DF"]["FF-DF"]["FF-DF"]["test"]["c23"].values()]
    place = "manipulated_sequences/Deepfakes/c23/frames/004_982"
    assert frames[0] == f"./datasets/rgb/FaceForensics++/{place}/003.png"
    none = [s for s in ("train", "val", "test") if "a" in tables["mine"]["mine"]["mine_Fake"][s]]
    assert none == ["train", "val", "test"]  # a video without a split is in all


def test_damaged_crops_are_listed_and_the_rest_goes_on(index, tmp_path, capsys):
    folder = index.parent / "crops"
    (folder / "mine/real/b/000004.jpg").write_text("no image")
    (folder / "mine/fake/swap/a/000001.jpg").unlink()
    out = tmp_path / "bench"
    command = ["data", "export", "--to", "deepfakebench", "--index", str(index), "--out", str(out)]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "mine/real/b: 000004.jpg: missing or damaged" in error
    assert "mine/fake/swap/a: 000001.jpg" in error
    rows = list_deepfakebench(out, out=tmp_path).rows
    assert len(rows) == 5 and rows[-2]["frame_indices"] == [0, 2]


def test_wrong_usage(index, tmp_path, capsys):
    command = ["data", "export", "--index", str(index), "--out", str(tmp_path / "o"), "--to"]
    assert main([*command, "deepfakebnch"]) == 2
    assert "Did you mean 'deepfakebench'" in capsys.readouterr().err
    bare = index.parent / "bare.parquet"
    write_index(read_index(index).assign(frames_dir=None), bare, command="test")
    with pytest.raises(UsageError, match="no face crops"):
        export_deepfakebench(bare, tmp_path / "o")
    with pytest.raises(UsageError, match="holds other files"):
        export_deepfakebench(index, index.parent)
