"""Tests DeepfakeBench's JSON files: slashes, nesting, LMDB files, and invalid entries."""

import json

import cv2
import lmdb
import numpy as np
import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.deepfakebench import list_deepfakebench
from dfjax.data.index.adapters.deepfakebench_names import read_label
from dfjax.data.index.records import check_index, make_index
from dfjax.errors import InputError, UsageError

FAKES = "FaceForensics++/manipulated_sequences/Deepfakes/c23/frames/000_003"
REALS = "FaceForensics++/original_sequences/youtube/c23/frames/000"


def video(label, *frames):
    return {"label": label, "frames": list(frames)}


def write(root, name, content):
    (root / "dataset_json").mkdir(parents=True, exist_ok=True)
    (root / "dataset_json" / f"{name}.json").write_text(json.dumps(content))


def by_id(listing):
    return {row["video_id"]: row for row in listing.rows}


@pytest.fixture
def nested(tmp_path, crop):
    """Makes FaceForensics++ with compressions, paths with backslashes, and unordered frames."""
    for folder, frames in ((FAKES, (12, 3)), (REALS, (0, 1000))):
        for k in frames:
            crop(tmp_path / "rgb" / folder / f"{k:03d}.png", k % 200)
    back = [f"{FAKES}/{name}.png".replace("/", "\\") for name in ("012", "003")]
    fake = {"test": {"c23": {"000_003": video("FF-DF", *back)}}, "train": {"c23": {}}}
    real = {"test": {"c23": {"000": video("FF-real", f"{REALS}/1000.png", f"{REALS}/000.png")}}}
    write(tmp_path, "FF-DF", {"FF-DF": {"FF-real": real, "FF-DF": fake}})
    write(tmp_path, "FaceForensics++", {"FaceForensics++": {"FF-real": real, "FF-DF": fake}})
    return tmp_path


def test_nested_back_slashed_and_named_twice(nested):
    listing = list_deepfakebench(nested, out=nested)
    rows = by_id(listing)
    assert set(rows) == {"ffpp/youtube/c23/000", "ffpp/Deepfakes/c23/000_003"}
    fake, real = rows["ffpp/Deepfakes/c23/000_003"], rows["ffpp/youtube/c23/000"]
    assert fake["frame_indices"] == [3, 12] and fake["frame_names"] == ["003.png", "012.png"]
    assert real["frame_indices"] == [0, 1000]
    assert (fake["label"], fake["split"], fake["compression"]) == (FAKE, "test", "c23")
    assert fake["pair_id"] == real["video_id"] and fake["group"] == real["group"] == "ffpp/000"
    assert fake["frames_dir"] == str((nested / "rgb" / FAKES).resolve())
    assert not listing.problems
    check_index(make_index(listing.rows), "rows")


@pytest.mark.parametrize("prefix", ["", "./datasets/rgb/", "/opt/bench/datasets/rgb/", ".\\"])
def test_flat_files_and_whatever_stands_before_the_path(tmp_path, crop, prefix):
    folder = "Celeb-DF-v2/Celeb-real/frames/id0_0000"
    crop(tmp_path / "datasets/rgb" / folder / "007.png")
    entry = video("CelebDFv2_real", f"{prefix}{folder}/007.png")
    write(tmp_path, "x", {"Celeb-DF-v2": {"CelebDFv2_real": {"train": {"id0_0000": entry}}}})
    (row,) = list_deepfakebench(tmp_path, out=tmp_path).rows
    assert row["video_id"] == "celebdf_v2/Celeb-real/id0_0000" and row["label"] == REAL
    assert row["identities"] == ["celebdf/id0"] and row["frame_indices"] == [7]


def test_validation_on_test_videos_and_videos_in_all_splits(tmp_path, crop):
    for name in "ab":
        crop(tmp_path / f"U/{name}/0.png")
    a, b = video("UADFV_Real", "U/a/0.png"), video("UADFV_Real", "U/b/0.png")
    splits = {"train": {"b": b}, "val": {"a": a, "b": b}, "test": {"a": a, "b": b}}
    write(tmp_path, "UADFV", {"UADFV": {"UADFV_Real": splits}})
    listing = list_deepfakebench(tmp_path, out=tmp_path)
    assert {r["video_id"][-1]: r["split"] for r in listing.rows} == {"a": "test", "b": "none"}
    assert "1 videos are in val and test: their split is now test" in listing.notes
    assert "1 videos are in train and val and test: their split is now none" in listing.notes


def test_bad_entries_are_listed_and_the_rest_goes_on(tmp_path, crop, kinds):
    crop(tmp_path / "rgb/D/ok/0.png")
    crop(tmp_path.parent / "outside" / "0.png")
    videos = {
        "ok": video("D_Fake", "D/ok/0.png", "D/ok/1.png"),
        "up": video("D_Fake", "D/../../../outside/0.png"),
        "root": video("D_Fake", str(tmp_path.parent / "outside/0.png")),
        "gone": video("D_Fake", "D/gone/0.png"),
        "none": video("D_Fake"),
        "odd": video("D_Other", "D/ok/0.png"),
        "../x": video("D_Fake", "D/ok/0.png"),
        "text": {"label": "D_Fake", "frames": "D/ok/0.png"},
        "number": video("D_Fake", 7),
        "frames": ["a list, as rearrange.py writes for DFDC's val"],
    }
    write(tmp_path, "D", {"D": {"D_Fake": {"test": videos}}})
    listing = list_deepfakebench(tmp_path, out=tmp_path)
    assert [row["video_id"] for row in listing.rows] == ["D/D_Fake/ok"]
    found = kinds(listing)
    assert found["absent"] == ["D/D_Fake/ok", "D/D_Fake/gone"]  # one frame; all frames
    assert {name.removeprefix("D/D_Fake/") for name in found["refused"]} == {
        *("up", "root", "none", "odd", "../x", "text", "number", "test/frames"),
    }


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_frames_in_lmdb_are_written_beside_the_index(tmp_path, slash):
    root, out = tmp_path / "bench", tmp_path / "work"
    names = [f"{REALS}/{k:03d}.png" for k in (4, 9)]
    write(root, "F", {"FaceForensics++": {"FF-real": {"test": {"c23": {
        "000": video("FF-real", *names, f"{REALS}/011.png")}}}}})  # fmt: skip
    place = root / "lmdb/FaceForensics++_lmdb"
    place.parent.mkdir()
    with lmdb.open(str(place), map_size=2**20) as store, store.begin(write=True) as transaction:
        for k, name in enumerate(names):
            dataset, _, rest = name.partition("/")
            image = cv2.imencode(".png", np.full((8, 8, 3), 40 + k, np.uint8))[1].tobytes()
            transaction.put(f"{dataset}\\{rest.replace('/', slash)}".encode(), image)
    listing = list_deepfakebench(root, out=out)
    (row,) = listing.rows
    assert row["frames_dir"] == "frames/ffpp/youtube/c23/000"  # movable with the index
    assert row["frame_indices"] == [4, 9]
    image = cv2.imread(str(out / row["frames_dir"] / row["frame_names"][1]))
    assert image[0, 0].tolist() == [41, 41, 41]
    (problem,) = listing.problems
    assert problem.error == "1 of its 3 frames are missing"


def test_a_damaged_store_and_missing_files_are_told(tmp_path):
    with pytest.raises(UsageError, match="no JSON files of DeepfakeBench"):
        list_deepfakebench(tmp_path, out=tmp_path)
    write(tmp_path, "splits", {"some": "thing"})
    with pytest.raises(UsageError, match="no JSON files of DeepfakeBench"):
        list_deepfakebench(tmp_path, out=tmp_path)
    write(tmp_path, "D", {"D": {"D_Real": {"test": {"a": video("D_Real", "D/a/0.png")}}}})
    with pytest.raises(UsageError, match="none of its 1 frames exists"):
        list_deepfakebench(tmp_path, out=tmp_path)
    (tmp_path / "D_lmdb").write_bytes(b"no store" * 1000)
    with pytest.raises(UsageError, match="D_lmdb is not an LMDB file"):
        list_deepfakebench(tmp_path, out=tmp_path)


def test_a_store_that_is_cut_off_costs_its_own_videos_only(tmp_path, crop):
    crop(tmp_path / "rgb/D/b/0.png", 1)
    write(tmp_path, "D", {"D": {"D_Real": {"test": {
        "a": video("D_Real", "D/a/0.png"), "b": video("D_Real", "D/b/0.png")}}}})  # fmt: skip
    with lmdb.open(str(tmp_path / "D_lmdb"), subdir=False, map_size=2**20) as store:
        with store.begin(write=True) as transaction:
            transaction.put(b"D\\a\\0.png", bytes(20_000))
    data = (tmp_path / "D_lmdb").read_bytes()
    (tmp_path / "D_lmdb").write_bytes(data[:12_288])  # the library would end with a signal
    listing = list_deepfakebench(tmp_path, out=tmp_path)
    assert [row["video_id"] for row in listing.rows] == ["D/D_Real/b"]
    (problem,) = listing.problems
    assert problem.kind == "refused" and "is cut off after 12288 of" in problem.error


@pytest.mark.parametrize(
    "long", ["/".join(["deep"] * 2000), "/root/" + "/".join(["deep"] * 2000), "n" * 300]
)
def test_a_path_that_is_too_long_is_a_problem_of_its_own(tmp_path, crop, long):
    crop(tmp_path / "rgb/D/b/0.png", 1)
    write(tmp_path, "D", {"D": {"D_Real": {"test": {
        "a": video("D_Real", f"{long}.png"), "b": video("D_Real", "D/b/0.png"),
        long: video("D_Real", "D/b/0.png")}}}})  # fmt: skip
    listing = list_deepfakebench(tmp_path, out=tmp_path)
    assert [row["video_id"] for row in listing.rows] == ["D/D_Real/b"]
    assert {problem.kind for problem in listing.problems} == {"refused"}
    assert len(listing.problems) == 2


def test_a_data_set_cannot_name_a_store_outside_of_the_root(tmp_path):
    root = tmp_path / "bench"
    with lmdb.open(str(tmp_path / "D_lmdb"), subdir=False, map_size=2**20) as store:
        with store.begin(write=True) as transaction:
            transaction.put(b"a\\0.png", b"\x89PNG")
    write(root, "D", {"../D": {"D_Real": {"test": {"a": video("D_Real", "a/0.png")}}}})
    with pytest.raises(UsageError, match="leads outside of the data set"):
        list_deepfakebench(root, out=tmp_path / "out")


def test_labels_by_name():
    real = ("FF-real", "DFD_real", "CelebDFv1_real", "DFDC_Real", "simswap_Real", "real", 0)
    fake = ("FF-DF", "FF-FH", "DFD_fake", "DFDCP_FakeA", "UADFV_Fake", "roop_Fake", 1)
    assert [read_label(name) for name in real] == [REAL] * len(real)
    assert [read_label(name) for name in fake] == [FAKE] * len(fake)
    for name in ("whichisreal2", "other", None, 2):
        with pytest.raises(InputError):
            read_label(name)


def test_a_row_of_ours_that_was_tampered_with_is_refused(tmp_path, crop, kinds):
    crop(tmp_path / "D/a/0.png")
    good = {"video_id": "D/a", "dataset": "D", "label": 0, "split": "none", "n_frames": 20.0}
    bad = ({"label": 2}, {"video_id": "../a"}, {"donor_ids": 5}, {"n_frames": "x"}, {"split": "x"})
    videos = {
        str(k): video("D_Real", "D/a/0.png") | {"dfjax": {"position": k, "row": good | change}}
        for k, change in enumerate(({}, *bad))
    }
    videos["6"] = video("D_Real", "D/a/0.png") | {"dfjax": []}
    write(tmp_path, "D", {"D": {"D_Real": {"test": videos}}})
    listing = list_deepfakebench(tmp_path, out=tmp_path)
    assert [row["video_id"] for row in listing.rows] == ["D/a"]
    assert listing.rows[0]["split"] == "none"  # what the row says, not where it lies
    assert kinds(listing)["refused"] == [f"D/D_Real/{k}" for k in range(1, 7)]
