"""Tests stored features: reading in any order, resuming, and damaged files."""

import json
import os
import pickle
import shutil

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.clips.pipeline import make_eval_batches
from dfjax.data.clips.sampling import Sampling
from dfjax.data.index.audit import audit
from dfjax.data.index.error_log import read_errors
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store import feature_writer
from dfjax.data.store.feature_pack import is_feature_pack, open_crops, open_features
from dfjax.data.store.feature_writer import VideoFeatures
from dfjax.data.store.pack import open_pack, pack
from dfjax.errors import UsageError

LENGTHS = (5, 2, 7, 1)
WIDTH = 4
RECORD = {
    "backbone": {"name": "b0"}, "features": WIDTH, "source": "../index.parquet",
    "preprocess": {"size": 8, "mean": [0.5] * 3, "std": [0.5] * 3},
    "parameters": "random", "precision": "float32",
}  # fmt: skip


def feature(row, frame):
    """Returns row, frame, their sum and their product, which are exact in half precision."""
    return np.array([row, frame, row + frame, row * frame], np.float32)


def write_crops(root):
    rows = []
    for row, n in enumerate(LENGTHS):
        folder = root / f"crops/{row}"
        folder.mkdir(parents=True)
        for frame in range(0, 2 * n, 2):
            cv2.imwrite(str(folder / f"{frame:06d}.jpg"), np.full((8, 8, 3), 50 * row, np.uint8))
        rows.append(
            make_record(
                video_id=f"set/{row}", dataset="set", label=row % 2, method="m", split="train",
                frames_dir=f"crops/{row}", frame_indices=list(range(0, 2 * n, 2)),
            )
        )  # fmt: skip
    write_index(make_index(rows), root / "index.parquet", command="test")
    return root / "index.parquet"


def write_features(root, *, dtype="float16", change=lambda video: video, shards=(0, 1, 2)):
    """Writes the existing ones of `shards`, and finishes the pack once all shards are written."""
    index = read_index(root / "index.parquet")
    out = root / "features"
    folder = feature_writer.open_partial(out, "plan")
    (folder / "backbone.safetensors").write_bytes(b"parameters")
    planned = feature_writer.plan_shards(index)
    for number in set(shards) & set(range(len(planned))):
        videos = [
            change(
                VideoFeatures(row, np.stack([feature(row, f) for f in index["frame_indices"][row]]))
            )
            for row in planned[number]
        ]
        feature_writer.write_shard(folder, number, videos, dtype=dtype, width=WIDTH)
    if all(feature_writer.is_shard_finished(folder, number) for number in range(len(planned))):
        manifest = {"source_sha256": "plan", "crop_size": 8}
        feature_writer.finish(
            folder, out, index, RECORD, manifest=manifest, left_out=[], recipe=None, command="test"
        )
    return out


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(feature_writer, "FRAMES_PER_SHARD", 7)


@pytest.fixture
def made(tmp_path, small_shards):
    write_crops(tmp_path)
    return write_features(tmp_path)


def test_shards_are_whole_videos_in_order(small_shards, tmp_path):
    index = read_index(write_crops(tmp_path))
    assert feature_writer.plan_shards(index) == [range(2), range(2, 3), range(3, 4)]


def test_any_frames_are_read_back_in_the_order_asked_also_from_a_pickle(made):
    for features in (open_features(made), pickle.loads(pickle.dumps(open_features(made)))):
        assert len(features) == 4 and features.width == WIDTH and features.crop_size == 8
        for row, frames in ((2, [12, 0, 4]), (0, [8]), (1, [0, 2]), (3, [])):
            got = features.read(row, frames)
            assert got.dtype == np.float32
            expected = np.array([feature(row, f) for f in frames]).reshape(-1, WIDTH)
            np.testing.assert_array_equal(got, expected)
    with pytest.raises(KeyError, match="no frame 3 of set/0"):
        features.read(0, [3])


def test_batches_have_features_where_others_have_pixels(made, tmp_path):
    pack(tmp_path / "index.parquet", tmp_path / "pack")
    how = dict(sampling=Sampling(3, "stride", 2), clips_per_video=1, batch_size=4, threads=0)
    with make_eval_batches(open_features(made), np.arange(4), **how) as batches:
        (got,) = list(batches)
    with make_eval_batches(open_pack(tmp_path / "pack"), np.arange(4), **how) as batches:
        (pixels,) = list(batches)
    assert got.keys() - pixels.keys() == {"features"} and pixels.keys() - got.keys() == {"clip"}
    for name in got.keys() & pixels.keys():
        np.testing.assert_array_equal(got[name], pixels[name])
    assert got["features"].shape == (4, 3, WIDTH) and got["features"].dtype == np.float32
    expected = np.zeros((4, 3, WIDTH), np.float32)
    for clip, place in np.argwhere(got["mask"]):
        expected[clip, place] = feature(clip, got["position"][clip, place])
    np.testing.assert_array_equal(got["features"], expected)


def test_finished_shards_are_kept_and_those_of_another_plan_are_not(tmp_path, small_shards):
    write_crops(tmp_path)
    out = write_features(tmp_path, shards=[0, 2])
    assert not out.exists()
    partial = tmp_path / ".features.partial"
    kept = (partial / "features-00000.npy").stat().st_mtime_ns
    assert [feature_writer.is_shard_finished(partial, n) for n in range(3)] == [True, False, True]
    (partial / "features-00001.npy").write_bytes(b"cut off")  # killed while it was written
    write_features(tmp_path, shards=[1])
    assert (out / "features-00000.npy").stat().st_mtime_ns == kept and not partial.exists()
    assert {p.name for p in out.iterdir()} == {
        "backbone.safetensors", "checksums.json", "features.json", "index.parquet",
        *(f"features-0000{n}.npy" for n in range(3)),
    }  # fmt: skip
    np.testing.assert_array_equal(open_features(out).read(2, [4]), [feature(2, 4)])
    write_features(tmp_path, shards=[0])
    feature_writer.open_partial(out, "another plan")
    assert not feature_writer.is_shard_finished(partial, 0)


def test_what_is_there_is_reused_or_refused(made, tmp_path):
    assert feature_writer.is_finished(made, "plan", fresh=False)
    assert not feature_writer.is_finished(made, "plan", fresh=True)
    assert not feature_writer.is_finished(made, "other", fresh=True)
    assert not feature_writer.is_finished(tmp_path / "new", "plan", fresh=False)
    with pytest.raises(UsageError, match="fresh"):
        feature_writer.is_finished(made, "other", fresh=False)
    (made / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds notes.txt, which is not of the pack"):
        feature_writer.is_finished(made, "other", fresh=True)
    (made / "notes.txt").unlink()
    with pytest.raises(UsageError, match="holds other files"):
        feature_writer.is_finished(tmp_path / "crops", "plan", fresh=False)


def test_videos_without_usable_features_are_left_out_and_listed(tmp_path, small_shards):
    write_crops(tmp_path)

    def change(video):
        if video.row == 1:
            return VideoFeatures(1, None, "no image")
        huge = 1e6 if video.row == 2 else 1.0  # no number of half precision
        return video._replace(features=video.features * huge)

    out = write_features(tmp_path, change=change)
    features = open_features(out)
    assert features.index["video_id"].tolist() == ["set/0", "set/3"]
    np.testing.assert_array_equal(features.read(1, [0]), [feature(3, 0)])
    errors = {entry["video_id"]: entry["error"] for entry in read_errors(out)}
    assert errors == {"set/1": "no image", "set/2": "its features are not finite in float16"}
    shutil.rmtree(out)
    assert len(open_features(write_features(tmp_path, dtype="float32"))) == 4


@pytest.mark.parametrize(
    "damage",
    ["cut", "garbled", "pickled", "gone", "nan", "narrow", "zip", "complex", "pipe", "empty"],
)
def test_a_damaged_file_is_named(made, damage):
    path = made / "features-00001.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "garbled":
        path.write_bytes(b"no numpy file")
    elif damage == "pickled":
        np.save(path, np.array([{}] * 7, object), allow_pickle=True)
    elif damage == "gone":
        path.unlink()
    elif damage == "nan":
        np.save(path, np.full((7, WIDTH), np.nan, np.float16))
    elif damage == "narrow":
        np.save(path, np.zeros((7, WIDTH - 1), np.float16))
    elif damage == "zip":
        with path.open("wb") as file:
            np.savez(file, np.zeros((7, WIDTH), np.float16))
    elif damage == "complex":
        np.save(path, np.zeros((7, WIDTH), np.complex64))
    elif damage == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif damage == "empty":
        path.write_bytes(b"")
    features = open_features(made)
    features.read(0, [0])  # another file
    with pytest.raises(UsageError, match=r"features-00001\.npy is damaged"):
        features.read(2, [0])


def test_verify_finds_a_changed_number(made, capsys):
    assert main(["data", "verify", "--pack", str(made)]) == 0
    path = made / "features-00001.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert main(["data", "verify", "--pack", str(made), "--json"]) == 1
    damaged = json.loads(capsys.readouterr().out.splitlines()[-1])["damaged"]
    assert [entry["path"] for entry in damaged] == ["features-00001.npy"]


def test_the_crops_behind_the_features(made, tmp_path):
    crops = open_crops(made)
    assert crops.read(2, [4]).mean() == pytest.approx(100, abs=2)
    assert is_feature_pack(made) and not is_feature_pack(tmp_path)
    with pytest.raises(UsageError, match="holds features"):
        open_pack(made)
    (tmp_path / "index.parquet").unlink()
    assert open_crops(made) is None
    with pytest.raises(UsageError, match="no feature pack"):
        open_features(tmp_path)
    (made / "index.parquet").unlink()
    with pytest.raises(UsageError, match="fresh"):
        open_features(made)


def test_an_audit_looks_at_the_crops_or_says_that_they_are_gone(made, tmp_path):
    def find():
        return {finding["code"] for finding in audit(made).findings}

    assert not find() & {"faces_not_checked", "missing_file", "unreadable_file"}
    shutil.rmtree(tmp_path / "crops")
    (tmp_path / "index.parquet").unlink()
    found = find()
    assert "faces_not_checked" in found and "missing_file" not in found
