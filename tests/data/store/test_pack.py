"""Tests packs: pixels, order of records, checksums, reuse, and damaged or missing crops."""

import dataclasses
import datetime
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds

from dfjax.commands.main import main
from dfjax.data.faces.recipe import RECIPE_FILE, CropRecipe, make_metadata, read_crop_recipe
from dfjax.data.index import records
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store import pack_builder
from dfjax.data.store.pack import open_pack, pack
from dfjax.data.store.verify import verify_pack
from dfjax.errors import UsageError
from dfjax.files import lock_folder

LENGTHS = {"a": 40, "b": 3, "c": 64, "d": 1, "e": 5}
SPLIT = {"a": "train", "b": "test", "c": "train", "d": "test", "e": "train"}


def frame_colour(video, frame):
    return np.array([40 * "abcde".index(video) + 20, 3 * frame % 256, 100])


def write_crops(root, size=16, lengths=LENGTHS):
    """Writes crops of every second source frame, whose constant colour identifies the frame."""
    rows = []
    for name, n in lengths.items():
        folder = root / "crops" / name
        folder.mkdir(parents=True, exist_ok=True)
        numbers = list(range(0, 2 * n, 2))
        for number in numbers:
            image = np.full((size, size, 3), frame_colour(name, number)[::-1], np.uint8)
            cv2.imwrite(str(folder / f"{number:06d}.jpg"), image)
        fake = name in "ce"
        rows.append(
            make_record(
                video_id=f"set/{name}",
                dataset="set",
                label=int(fake),
                method="swap" if fake else "real",
                split=SPLIT.get(name, "train"),
                frames_dir=f"crops/{name}",
                frame_indices=numbers,
                face_found=[True] * n,
                quality=[float(number) for number in numbers],
            )
        )
    write_index(make_index(rows), root / "index.parquet", command="test")
    return root / "index.parquet"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("pack")
    report = pack(write_crops(root), root / "out")
    return root / "out", report


def test_every_frame_comes_back_from_its_video(made):
    opened = open_pack(made[0])
    assert opened.index["video_id"].tolist() == [f"set/{n}" for n in LENGTHS]
    assert opened.crop_size == 16
    for row, name in enumerate(LENGTHS):
        numbers = opened.frame_numbers(row)
        crops = opened.read(row, numbers)
        assert crops.dtype == np.uint8 and crops.shape == (LENGTHS[name], 16, 16, 3)
        expected = np.array([frame_colour(name, number) for number in numbers])
        assert np.abs(crops.mean((1, 2)) - expected).max() < 4  # JPEG rounds colours


def test_frames_come_in_the_order_asked_and_once_per_ask(made):
    opened = open_pack(made[0])
    crops = opened.read(2, [100, 2, 100])  # in the second record, the first, the second
    np.testing.assert_array_equal(crops[0], crops[2])
    assert abs(crops[1].mean((0, 1))[1] - 6) < 4
    with pytest.raises(KeyError, match="frame 3 of set/c"):
        opened.read(2, [3])


def test_long_videos_take_consecutive_records(made):
    out, report = made
    assert open_pack(out).index["pack_row"].tolist() == [0, 0, 2, 1, 4]
    source = tfds.builder_from_directory(str(out)).as_data_source("train")
    found = [(r["video_id"], r["part"], len(r["frames"])) for r in source]
    assert found == [
        (b"set/a", 0, 32), (b"set/a", 1, 8), (b"set/c", 0, 32), (b"set/c", 1, 32), (b"set/e", 0, 5),
    ]  # fmt: skip
    assert source[2]["label"] == 1 and source[2]["method"] == b"swap"
    assert (report.videos, report.frames, report.errors, report.reused) == (5, 113, [], False)


def test_large_splits_are_cut_into_shards_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(pack_builder, "RECORDS_PER_SHARD", 2)
    index = write_crops(tmp_path, lengths={"a": 40, "c": 64, "e": 5})
    pack(index, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.array_record*"))) == 3
    opened = open_pack(tmp_path / "out")
    for row, name in enumerate("ace"):
        numbers = opened.frame_numbers(row)
        expected = np.array([frame_colour(name, number) for number in numbers])
        assert np.abs(opened.read(row, numbers).mean((1, 2)) - expected).max() < 4


def test_tfds_prepares_the_same_records_by_its_own_way(made, tmp_path):
    """The builder can also be used through the methods of TFDS."""
    root = made[0].parent
    builder = pack_builder.FaceClips(
        table=open_pack(made[0]).index,
        folder=root,
        data_dir=tmp_path,
    )
    builder.download_and_prepare()
    ours = tfds.builder_from_directory(str(made[0])).as_data_source("train")
    theirs = builder.as_data_source("train")
    assert [r["frames"] for r in theirs] == [r["frames"] for r in ours]


def test_stored_bytes_are_the_files(made):
    source = tfds.builder_from_directory(str(made[0])).as_data_source("train")
    file = made[0].parent / "crops" / "a" / "000064.jpg"
    assert source[1]["frames"][0] == file.read_bytes()


def test_a_pickle_reads_again_and_keeps_a_changed_index(made):
    opened = open_pack(made[0])
    opened.read(0, [0])
    other = dataclasses.replace(opened, index=opened.index.assign(label=1))
    copy = pickle.loads(pickle.dumps(other))
    np.testing.assert_array_equal(copy.read(4, [8]), opened.read(4, [8]))
    assert copy.index["label"].tolist() == [1] * 5


def test_checksums_cover_every_file(made):
    manifest = json.loads((made[0] / "checksums.json").read_text())
    names = {p.name for p in made[0].iterdir()} - {"checksums.json"}
    assert names == set(manifest["files"])
    for name, checksum in manifest["files"].items():
        assert hashlib.sha256((made[0] / name).read_bytes()).hexdigest() == checksum


def test_the_same_crops_are_reused_and_others_refused(tmp_path):
    index = write_crops(tmp_path, lengths={"a": 2, "b": 2})
    assert not pack(index, tmp_path / "out").reused
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    assert pack(index, tmp_path / "out").reused
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    write_crops(tmp_path, lengths={"a": 2, "b": 3})
    with pytest.raises(UsageError, match="fresh"):
        pack(index, tmp_path / "out")
    assert pack(index, tmp_path / "out", fresh=True).frames == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crops", "index.parquet", "out"]


def test_a_recipe_that_becomes_known_is_added_to_the_pack(tmp_path):
    index, out = write_crops(tmp_path, lengths={"a": 2, "b": 2}), tmp_path / "out"
    assert not pack(index, out).reused and read_crop_recipe(out) is None
    recipe = CropRecipe(margin=1.5, min_quality=(("size", 40.0),), every=2)
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir() if p.name != "checksums.json"}
    metadata = make_metadata(recipe)
    write_index(read_index(index), index, command="test", metadata=metadata)
    assert pack(index, out).reused and read_crop_recipe(out) == recipe
    after = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"checksums.json", RECIPE_FILE}
    assert verify_pack(out).damaged == []
    write_index(read_index(index), index, command="test")  # no recipe is no other recipe
    assert pack(index, out).reused and read_crop_recipe(out) == recipe
    other = make_metadata(dataclasses.replace(recipe, margin=1.3))
    write_index(read_index(index), index, command="test", metadata=other)
    with pytest.raises(UsageError, match="fresh"):
        pack(index, out)
    assert not pack(index, out, replace=True).reused and read_crop_recipe(out).margin == 1.3


def test_missing_and_damaged_frames_are_left_out_and_listed(tmp_path):
    index = write_crops(tmp_path, lengths={"a": 4, "b": 2})
    crops = tmp_path / "crops"
    (crops / "a" / "000002.jpg").unlink()
    whole = (crops / "a" / "000004.jpg").read_bytes()
    (crops / "a" / "000004.jpg").write_bytes(whole[: len(whole) // 2])
    (crops / "b" / "000000.jpg").write_text("no picture")
    (crops / "b" / "000002.jpg").write_bytes(b"")
    report = pack(index, tmp_path / "out")
    assert [e["error"].split(":")[0] for e in report.errors] == [
        "000002.jpg", "000004.jpg", "000000.jpg", "000002.jpg",
    ]  # fmt: skip
    assert report.errors[0].keys() == {"video_id", "path", "stage", "error"}
    opened = open_pack(tmp_path / "out")
    row = opened.index.iloc[0]
    assert opened.index["video_id"].tolist() == ["set/a"]
    assert row["frame_indices"] == [0, 6] and row["quality"] == [0.0, 6.0]
    assert opened.read(0, [6]).shape == (1, 16, 16, 3)
    assert pack(index, tmp_path / "out") == dataclasses.replace(report, reused=True)


def test_mixed_crop_sizes_are_refused_and_nothing_is_left(tmp_path):
    write_crops(tmp_path, lengths={"a": 1, "b": 1})
    cv2.imwrite(str(tmp_path / "crops" / "b" / "000000.jpg"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match=r"16x16 \(set/a\), 8x8 \(set/b\)"):
        pack(tmp_path / "index.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_index_without_crops_says_what_to_run(tmp_path):
    rows = [make_record(video_id="x", dataset="set", label=0)]
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    with pytest.raises(UsageError, match="dfjax data extract"):
        pack(tmp_path / "index.parquet", tmp_path / "out")


def test_an_index_away_from_its_crops_says_so(tmp_path):
    index = write_crops(tmp_path, lengths={"a": 1})
    moved = tmp_path / "elsewhere" / "index.parquet"
    moved.parent.mkdir()
    index.rename(moved)
    with pytest.raises(UsageError, match="beside its crops"):
        pack(moved, tmp_path / "out")


def test_other_files_are_never_replaced(tmp_path):
    index = write_crops(tmp_path, lengths={"a": 1})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    for fresh in (False, True):
        with pytest.raises(UsageError, match="holds other files"):
            pack(index, tmp_path / "out", fresh=fresh)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("option", [{"fresh": True}, {"replace": True}])
def test_files_that_were_put_into_a_pack_are_never_deleted_with_it(tmp_path, option):
    write_crops(tmp_path, lengths={"a": 2})
    out = tmp_path / "pack"
    pack(tmp_path / "index.parquet", out)
    write_crops(tmp_path, lengths={"a": 2, "b": 1})
    for name in ("notes.txt", "split.parquet"):
        (out / name).write_text("mine")
        with pytest.raises(UsageError, match=f"holds {name}, which is not of the pack"):
            pack(tmp_path / "index.parquet", out, **option)
        assert (out / name).read_text() == "mine"
        (out / name).unlink()
    assert pack(tmp_path / "index.parquet", out, **option).videos == 2


def test_what_is_no_pack_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no pack at"):
        open_pack(tmp_path / "missing")
    with pytest.raises(UsageError, match="not a pack"):
        open_pack(tmp_path)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, capsys):
    """ArrayRecord reports a full disk as a RuntimeError, when it closes a shard."""
    index, out = write_crops(tmp_path), tmp_path / "out"
    pack(index, out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    class Full:
        def __init__(self, path, options):
            pass

        def write(self, example):
            pass

        def close(self):
            raise RuntimeError("write() failed: No space left on device; writing x")

    monkeypatch.setattr(pack_builder, "ArrayRecordWriter", Full)
    command = ["data", "pack", "--index", str(index), "--out", str(out), "--fresh"]
    assert main(command) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crops", "index.parquet", "out"]


def test_two_processes_do_not_pack_into_one_folder(tmp_path):
    index, out = write_crops(tmp_path), tmp_path / "out"
    with lock_folder(out), pytest.raises(UsageError, match="another process is writing"):
        pack(index, out)
    assert not out.exists()
    (tmp_path / ".out.lock").touch()  # of a process that was killed: it holds nothing any more
    assert pack(index, out).videos == len(LENGTHS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crops", "index.parquet", "out"]


def test_splits_may_change_in_memory(made):
    """Records stay in the split that they were written to, also after pickling."""
    pack_ = open_pack(made[0])
    crops = pack_.read(1, [2, 4])
    old = pack_.index["split"]
    pack_.index = pack_.index.assign(pack_split=old, split=old.map({"train": "test"}).fillna("val"))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pack_)).read(1, [2, 4]), crops)


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_damaged_pack_is_one_line(made, tmp_path, damage):
    folder = tmp_path / "pack"
    shutil.copytree(made[0], folder)
    for shard in folder.glob("*array_record*"):
        content = shard.read_bytes()
        middle = len(content) // 2
        flipped = bytes(255 - byte for byte in content[: middle + 100])
        changed = {"cut": content[:100], "flipped": flipped + content[middle + 100 :]}
        shard.unlink() if damage == "gone" else shard.write_bytes(changed[damage])
    with pytest.raises(UsageError, match="is damaged .*dfjax data verify") as error:
        open_pack(folder).read(0, [0])
    assert "\n" not in str(error.value)


@pytest.fixture
def copied(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "pack")


def test_a_pack_imports_nothing_that_it_names(copied, tmp_path, monkeypatch):
    """TFDS would import the module `evil`, whose file may even lie in the pack."""
    (copied / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(copied)
    features = copied / "features.json"
    text = features.read_text()
    assert "text_feature.Text" in text
    features.write_text(text.replace("tensorflow_datasets.core.features.text_feature", "evil"))
    assert open_pack(copied).read(0, [0]).shape == (1, 16, 16, 3)
    features.write_text("[]")
    (copied / "dataset_info.json").write_text("null")
    assert open_pack(copied).read(1, [2]).shape == (1, 16, 16, 3)
    assert not (tmp_path / "ran").exists()


MANIFEST = {"crop_size": 16, "files": {}, "source_sha256": ""}
DAMAGED = [
    *("", "{", "[]", "null", "{}", '{"crop_size": 16}', json.dumps(MANIFEST | {"files": []})),
    *(json.dumps(MANIFEST | {"crop_size": size}) for size in (0, -1, 10**9, "a")),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_checksums_are_one_line(copied, tmp_path, capsys, text):
    (copied / "checksums.json").write_text(text)
    with pytest.raises(UsageError, match=r"checksums\.json is damaged: "):
        open_pack(copied)
    for command in (
        ["verify", str(copied)],
        ["pack", "--index", str(tmp_path), "--out", str(copied)],
    ):
        assert main(["data", *command]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def change_index(folder, **columns):
    index = read_index(folder / "index.parquet").assign(**columns)
    write_index(index, folder / "index.parquet", command="test")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pack_row": [0, 0, 2, 1, 4]}, None),
        ({"pack_row": [2, 0, 0, 1, 4]}, "its index and its records differ"),
        ({"pack_row": [10**12, 0, 0, 1, 4]}, "cannot be read"),
        ({"pack_row": [-1, 0, 2, 1, 4]}, "pack_row is missing or negative"),
        ({"pack_row": [None, 0, 2, 1, 4]}, "pack_row is missing or negative"),
        ({"pack_row": list("abcde")}, "column pack_row"),
        ({"frame_indices": [[0]] * 5, "face_found": None, "quality": None}, "differ"),
        ({"video_id": [f"set/{n}" for n in "bacde"]}, "its index and its records differ"),
        ({"pack_split": ["../x"] * 5}, "lacks files"),
    ],
)
def test_an_index_of_other_records_is_refused(copied, columns, message):
    if "pack_row" in columns and columns["pack_row"][0] == "a":
        with pytest.raises(UsageError, match=message):
            change_index(copied, **columns)
        return
    change_index(copied, **columns)
    if message is None:
        assert open_pack(copied).read(0, [0]).shape == (1, 16, 16, 3)
        return
    with pytest.raises(UsageError, match=message):
        open_pack(copied).read(0, [0])


def test_packs_of_the_same_crops_have_the_same_bytes(tmp_path, monkeypatch):
    index = write_crops(tmp_path)
    # In another process, whose protobuf orders the features of a record otherwise
    command = [sys.executable, "-m", "dfjax", "data", "pack", "--index", str(index)]
    subprocess.run([*command, "--out", str(tmp_path / "one")], check=True)

    class Later(datetime.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + datetime.timedelta(days=1)

    monkeypatch.setattr(records.datetime, "datetime", Later)
    pack(index, tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert "index.parquet" in names and "checksums.json" in names
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("numbers", [[0, 4, 2], [0, 2, 2]])
def test_frame_numbers_that_do_not_ascend_are_refused(tmp_path, capsys, numbers):
    index = write_crops(tmp_path, lengths={"b": 3})
    table = pq.read_table(index)
    place = table.column_names.index("frame_indices")
    column = pa.array([numbers], table.schema.field(place).type)
    pq.write_table(table.set_column(place, "frame_indices", column), index)
    assert main(["data", "pack", "--index", str(index), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "frame_indices does not ascend" in error and "set/b" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_crop_that_is_a_pipe_is_refused_at_once(tmp_path):
    index = write_crops(tmp_path, lengths={"b": 3})
    crop = tmp_path / "crops/b/000002.jpg"
    crop.unlink()
    os.mkfifo(crop)
    (error,) = pack(index, tmp_path / "out").errors
    assert error["error"] == "000002.jpg: not a regular file"


def test_files_of_a_pack_that_are_pipes_are_damaged(tmp_path):
    pack(write_crops(tmp_path, lengths={"b": 3}), tmp_path / "pack")
    (shard,) = (tmp_path / "pack").glob("*.array_record-*")
    for path in (shard, tmp_path / "pack" / "dataset_info.json"):
        path.unlink()
        os.mkfifo(path)
    found = {entry["path"]: entry["error"] for entry in verify_pack(tmp_path / "pack").damaged}
    assert found == {shard.name: "not a regular file", "dataset_info.json": "not a regular file"}
    with pytest.raises(UsageError, match="lacks files"):
        open_pack(tmp_path / "pack").read(0, [0])
