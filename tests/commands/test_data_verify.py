"""`dfjax data verify`: every kind of damage is named, and nothing else."""

import hashlib
import json

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.store.pack import pack


@pytest.fixture
def index(tmp_path):
    rows = []
    for k, name in enumerate("abc"):
        folder = tmp_path / "crops" / name
        folder.mkdir(parents=True)
        for number in range(3):
            image = np.full((16, 16, 3), 40 * k + number, np.uint8)
            cv2.imwrite(str(folder / f"{number:06d}.jpg"), image)
        video = tmp_path / f"{name}.mp4"
        video.write_bytes(name.encode() * 100)
        rows.append(
            make_record(
                video_id=name, dataset="s", label=k % 2, method="m", split=("train", "test")[k % 2],
                root=str(tmp_path), path=video.name, frames_dir=f"crops/{name}",
                sha256=hashlib.sha256(video.read_bytes()).hexdigest(), frame_indices=[0, 1, 2],
            )
        )  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    return tmp_path / "index.parquet"


def verify(capsys, *arguments):
    code = main(["data", "verify", "--json", *map(str, arguments)])
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    return code, json.loads(lines[-1]) if lines else None, captured.err


def test_every_file_of_a_pack(index, tmp_path, capsys):
    pack(index, tmp_path / "pack")
    code, result, _ = verify(capsys, "--pack", tmp_path / "pack")
    files = sorted(p.name for p in (tmp_path / "pack").iterdir())
    assert code == 0 and result == {"checked": len(files) - 1, "damaged": []}
    shards = sorted((tmp_path / "pack").glob("*array_record*"))
    assert len(shards) == 2
    data = bytearray(shards[0].read_bytes())
    data[len(data) // 2] ^= 1  # one bit
    shards[0].write_bytes(data)
    shards[1].unlink()
    (tmp_path / "pack" / "notes.txt").write_text("strange")
    code, result, errors = verify(capsys, "--pack", tmp_path / "pack")
    assert code == 1
    assert {bad["path"]: bad["error"] for bad in result["damaged"]} == {
        shards[0].name: "its content has changed",
        shards[1].name: "No such file or directory",
        "notes.txt": "is not listed in the manifest",
    }
    assert all(bad["path"] in errors for bad in result["damaged"])


def test_a_list_of_files_that_leads_elsewhere(index, tmp_path, capsys):
    pack(index, tmp_path / "pack")
    manifest = tmp_path / "pack" / "checksums.json"
    content = json.loads(manifest.read_text())
    content["files"]["../index.parquet"] = hashlib.sha256(index.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))
    code, result, _ = verify(capsys, "--pack", tmp_path / "pack")
    assert (
        code == 1
        and result["damaged"][0]["error"] == "is listed in the manifest, but is not in this folder"
    )
    manifest.write_text(json.dumps({"crop_size": 16}))
    assert verify(capsys, "--pack", tmp_path / "pack")[0] == 2


def test_videos_and_crops_of_an_index(index, tmp_path, capsys):
    code, result, _ = verify(capsys, "--index", index)
    assert code == 0 and result == {"checked": 6, "damaged": []}
    (tmp_path / "a.mp4").write_bytes(b"other")
    (tmp_path / "b.mp4").unlink()
    crop = tmp_path / "crops/c/000001.jpg"
    crop.write_bytes(crop.read_bytes()[:-30])
    (tmp_path / "crops/c/000002.jpg").unlink()
    code, result, _ = verify(capsys, "--index", index)
    assert code == 1
    assert [(bad["video_id"], bad["error"]) for bad in result["damaged"]] == [
        ("a", "its content has changed"),
        ("b", "No such file or directory"),
        ("c", "000001.jpg: not a complete JPEG or PNG file"),
        ("c", "000002.jpg: No such file or directory"),
    ]


def test_the_index_of_a_pack_stands_for_the_pack(index, tmp_path, capsys):
    pack(index, tmp_path / "pack")
    want = verify(capsys, "--pack", tmp_path / "pack")[:2]
    assert verify(capsys, "--index", tmp_path / "pack/index.parquet")[:2] == want
    assert verify(capsys, "--index", tmp_path / "pack")[:2] == want
    assert want[0] == 0


def test_wrong_usage(index, tmp_path, capsys):
    pack(index, tmp_path / "pack")
    row = make_record(video_id="x", dataset="s", label=0)
    write_index(make_index([row]), tmp_path / "bare.parquet", command="test")
    for arguments, message in [
        (["--pack", tmp_path / "absent"], "no pack at"),
        (["--pack", tmp_path], "is not a pack"),
        (["--index", tmp_path / "bare.parquet"], "nothing to verify"),
        ([], "one of the arguments --pack --index is required"),
    ]:
        code, _, errors = verify(capsys, *arguments)
        assert code == 2 and message in errors
