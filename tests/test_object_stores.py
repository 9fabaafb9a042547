"""Tests that packs are read from object stores, and that nothing else is written or read there.

A folder stands in for the stores (`bucket`), through the file systems that etils.epath uses.
"""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from bucket import Bucket, stand_in

import dfjax
from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.store.feature_pack import is_feature_pack
from dfjax.data.store.pack import open_pack, pack
from dfjax.errors import FileError, UsageError
from dfjax.experiment.run_data import open_data
from dfjax.object_stores import find_pack, is_url


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Returns a pack of two videos of three crops."""
    folder = tmp_path_factory.mktemp("made")
    rows = []
    for label, name in enumerate("ab"):
        (folder / f"crops/{name}").mkdir(parents=True)
        for number in range(3):
            image = np.full((16, 16, 3), 60 * label + 20 * number, np.uint8)
            cv2.imwrite(str(folder / f"crops/{name}/{number:06d}.jpg"), image)
        rows.append(
            make_record(
                video_id=f"set/{name}", dataset="set", label=label,
                method="swap" if label else "real", split="train", frames_dir=f"crops/{name}",
                frame_indices=[0, 1, 2], face_found=[True] * 3, quality=[1.0] * 3,
            )
        )  # fmt: skip
    write_index(make_index(rows), folder / "index.parquet", command="test")
    pack(folder / "index.parquet", folder / "pack")
    return folder / "pack"


@pytest.fixture(scope="module", autouse=True)
def stores():
    with stand_in():
        yield


@pytest.fixture
def store(made, tmp_path, monkeypatch):
    """Returns the folder of the pack in the bucket that stands in for gs:// and s3://."""
    monkeypatch.setattr(Bucket, "folder", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(made, tmp_path / "store/bucket/my pack")
    return tmp_path / "store/bucket/my pack"


@pytest.mark.parametrize("url", ["gs://bucket/my pack", "s3://bucket/my pack/"])
def test_a_pack_in_a_store_has_the_crops_of_the_local_one(store, made, url):
    remote, local = open_pack(url), open_pack(made)
    for row in range(2):
        assert (remote.read(row, [2, 0]) == local.read(row, [2, 0])).all()
    assert open_pack(Path(url)).path == remote.path, "pathlib drops a slash"
    assert not is_feature_pack(Path(url))


def test_training_reads_its_data_from_a_store(store, tmp_path):
    config = dfjax.load_config("meso4:smoke", {"data.path": "gs://bucket/my pack"})
    data = open_data(config, tmp_path / "run")
    assert len(data.index) == 2 and not list(tmp_path.glob("gs*"))


def test_the_copy_is_made_once_and_again_when_the_pack_changes(store):
    first = find_pack("gs://bucket/my pack")
    written = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert find_pack("gs://bucket/my pack") == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == written
    manifest = json.loads((store / "checksums.json").read_text())
    (store / "checksums.json").write_text(json.dumps(manifest | {"source_sha256": "new"}))
    assert find_pack("gs://bucket/my pack") != first


def test_a_pack_that_is_being_written_or_damaged_leaves_no_copy(store):
    shard = next(store.glob("*array_record*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(FileError, match="differs from its checksum"):
        open_pack("gs://bucket/my pack")
    shard.unlink()
    with pytest.raises(FileError, match="is missing"):
        open_pack("gs://bucket/my pack")
    copies = Path(os.environ["XDG_CACHE_HOME"], "dfjax/packs")
    assert [path.name for path in copies.iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["../../escaped", "/escaped"])
def test_a_manifest_cannot_name_files_elsewhere(store, name):
    manifest = json.loads((store / "checksums.json").read_text())
    manifest["files"][name] = "0" * 64
    (store / "checksums.json").write_text(json.dumps(manifest))
    with pytest.raises(FileError):
        open_pack("gs://bucket/my pack")


def test_what_cannot_be_read_is_one_line(store):
    with pytest.raises(UsageError, match="nothing is at gs://bucket/none"):
        open_pack("gs://bucket/none")
    with pytest.raises(UsageError, match="object stores are for packs"):
        open_pack("hdfs://host/pack")


def test_a_missing_package_is_named(store, monkeypatch):
    def absent(path):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr("etils.epath.Path", absent)
    with pytest.raises(UsageError, match="pip install 'dfjax\\[gcs\\]'"):
        open_pack("gs://bucket/pack")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--config=meso4:smoke", "--workdir=hdfs://bucket/run"],
        ["train", "--config=meso4", "--workdir=w", "--config.train.init_from=s3://b/w.safetensors"],
        ["calibrate", "--workdir", "gs://bucket/run"],
        ["data", "pack", "--index", "i", "--out", "s3://bucket/pack"],
        ["predict", "--workdir", "w", "gs://bucket/clip.mp4"],
    ],
)
def test_other_urls_are_refused_and_nothing_is_written(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "Mount the bucket" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_python_refuses_a_workdir_in_another_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (
        lambda: dfjax.train("meso4:smoke", "hdfs://bucket/run"),
        lambda: dfjax.load(Path("az://bucket/run")),
        lambda: dfjax.prepare("videos", "gs://bucket/work"),
    ):
        with pytest.raises(UsageError, match="Mount the bucket"):
            call()
    assert not list(tmp_path.iterdir())


def test_what_is_a_url():
    assert all(map(is_url, ("gs://b/x", "s3:/b", Path("gs://b/x"))))
    assert not any(map(is_url, ("gs:", "runs/gs://b", "work/x", "C:/x", "http://x", "")))
