"""Tests videos that are folders of frames: probing, extraction, audit and verification."""

import shutil

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.index.audit import audit
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.index.source import find_source, iterate_source, probe_source
from dfjax.errors import InputError

NUMBERS = (0, 3, 6, 30)


def make_frames(folder, brightness=8):
    folder.mkdir(parents=True)
    for number in NUMBERS:
        image = np.full((40, 60, 3), number * brightness % 256, np.uint8)
        cv2.imwrite(str(folder / f"img_{number}.png"), image)
    return folder


def row_of(folder, **fields):
    known = {"video_id": f"d/{folder.name}", "dataset": "d", "label": 0, "split": "train"}
    return make_record(**known, root=str(folder.parent), path=folder.name, **fields)


def test_a_folder_is_read_by_the_numbers_in_its_names(tmp_path):
    source = find_source(row_of(make_frames(tmp_path / "v")))
    assert source.numbers == NUMBERS
    frames = list(iterate_source(source, [3, 30]))
    assert [int(frame[0, 0, 0]) for frame in frames] == [24, 240]
    info = probe_source(source)
    assert (info.n_frames, info.width, info.height, info.codec) == (4, 60, 40, "png")
    assert info.bytes == sum(file.stat().st_size for file in source.files)


def test_an_empty_folder_and_a_damaged_frame_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="folder without images"):
        find_source(row_of(tmp_path / "empty"))
    folder = make_frames(tmp_path / "v")
    (folder / "img_6.png").write_bytes(b"no image")
    source = find_source(row_of(folder))
    with pytest.raises(InputError, match=r"img_6\.png: not an image"):
        list(iterate_source(source, [0, 6]))


def test_faces_are_cut_out_of_frames_and_named_by_them(tmp_path):
    names = ("a", "b")
    rows = [row_of(make_frames(tmp_path / "d" / n, 7 + k)) for k, n in enumerate(names)]
    index = tmp_path / "index.parquet"
    write_index(make_index(rows), index, command="test")
    found = audit(index)
    assert not {"missing_file", "unreadable_file"} & {f["code"] for f in found.findings}
    out = tmp_path / "out"
    command = ["data", "extract", "--index", str(index), "--out", str(out), "--detector", "none"]
    assert main([*command, "--size", "16", "--frames", "3", "--workers", "1"]) == 0
    crops = read_index(out / "index.parquet")
    assert crops["frame_indices"].tolist() == [[0, 6, 30], [0, 6, 30]]
    assert crops["n_frames"].tolist() == [4, 4] and crops["sha256"].notna().all()
    assert (out / crops["frames_dir"][0] / "000030.jpg").is_file()
    verify = ["data", "verify", "--index", str(out / "index.parquet")]
    assert main(verify) == 0
    shutil.copy(tmp_path / "d" / "a" / "img_3.png", tmp_path / "d" / "b" / "img_3.png")
    assert main(verify) == 1


def test_folders_of_frames_indexed_as_crops_are_still_sources(tmp_path):
    for kind in ("real", "fake"):
        for name in ("a", "b", "c"):
            make_frames(tmp_path / "d" / kind / name, 5 + len(kind) + ord(name))
    index, root = tmp_path / "index.parquet", str(tmp_path / "d")
    adapter = ["--adapter", "frames", "--root", root, "--workers", "1"]
    assert main(["data", "index", *adapter, "--out", str(index)]) == 0
    assert main(["data", "verify", "--index", str(index)]) == 0
    out = ["--out", str(tmp_path / "out"), "--detector", "none", "--size", "16", "--workers", "1"]
    assert main(["data", "extract", "--index", str(index), *out]) == 0
    (crops,) = {tuple(v) for v in read_index(tmp_path / "out/index.parquet")["frame_indices"]}
    assert crops == NUMBERS


def test_crops_made_elsewhere_from_a_folder_are_not_its_frames(tmp_path):
    folder, crops = make_frames(tmp_path / "v"), make_frames(tmp_path / "crops" / "v", 3)
    some = {"frame_indices": [3], "frame_names": ["img_3.png"]}
    row = row_of(folder, frames_dir=str(crops), **some)
    assert find_source(row).files == tuple(folder / f"img_{n}.png" for n in NUMBERS)
    row = row_of(folder, frames_dir=str(folder), **some)
    assert find_source(row).files == (folder / "img_3.png",)
