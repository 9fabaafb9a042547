"""Tests the adapter of FaceForensics++: official splits, ids, and groups across splits."""

import json

import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.ffpp import list_ffpp
from dfjax.data.index.records import check_index, make_index
from dfjax.errors import UsageError

ORIGINALS = "original_sequences/youtube/{}/videos/{}.mp4"
FAKES = "manipulated_sequences/{}/{}/videos/{}_{}.mp4"


@pytest.fixture
def tree(tmp_path):
    """Makes train 001-002, val 003-004 and test 005-006, where 002 and 005 are of one recording."""
    splits = {"train": [["001", "002"]], "val": [["004", "003"]], "test": [["005", "006"]]}
    (tmp_path / "splits").mkdir()
    for name, pairs in splits.items():
        (tmp_path / "splits" / f"{name}.json").write_text(json.dumps(pairs))
    origins = {f"00{i}": f"rec {i} 0" for i in (1, 3, 4, 6)} | {"002": "same 0", "005": "same 1"}
    (tmp_path / "conversion_dict.json").write_text(json.dumps(origins))
    for name in ("001", "002", "003", "005", "999"):
        touch(tmp_path / ORIGINALS.format("c23", name))
    touch(tmp_path / ORIGINALS.format("c40", "001"))
    touch(tmp_path / FAKES.format("Deepfakes", "c23", "001", "002"))
    touch(tmp_path / FAKES.format("FaceSwap", "c40", "002", "001"))
    touch(tmp_path / FAKES.format("Face2Face", "c23", "004", "003"))
    return tmp_path


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def by_id(rows):
    return {row["video_id"]: row for row in rows}


def test_both_orders_of_a_pair_are_in_its_split(tree):
    rows = by_id(list_ffpp(tree).rows)
    splits = {name: row["split"] for name, row in rows.items()}
    assert splits == {
        "ffpp/youtube/c23/001": "train",
        "ffpp/youtube/c23/002": "train",
        "ffpp/youtube/c23/003": "val",
        "ffpp/youtube/c23/005": "test",
        "ffpp/youtube/c23/999": "none",
        "ffpp/youtube/c40/001": "train",
        "ffpp/Deepfakes/c23/001_002": "train",
        "ffpp/FaceSwap/c40/002_001": "train",
        "ffpp/Face2Face/c23/004_003": "val",
    }
    check_index(make_index(list(rows.values())), "rows")


def test_frames_that_were_extracted_stand_for_a_video_that_is_not_there(tree):
    for place in ("original_sequences/youtube/c23/images/001",
                  "original_sequences/youtube/c23/images/004",
                  "manipulated_sequences/Deepfakes/c23/images/002_001"):  # fmt: skip
        for number in range(2):
            touch(tree / place / f"{number:04d}.png")
    before = by_id(list_ffpp(tree, compression="c23").rows)
    assert before["ffpp/youtube/c23/001"]["path"].endswith("videos/001.mp4")
    assert before["ffpp/youtube/c23/004"]["path"] == "original_sequences/youtube/c23/images/004"
    fake = before["ffpp/Deepfakes/c23/002_001"]
    assert (fake["path"][-14:], fake["pair_id"]) == ("images/002_001", "ffpp/youtube/c23/002")
    assert not any("ignored" in note for note in list_ffpp(tree).notes)


def test_a_fake_names_its_target_donor_and_pair(tree):
    rows = by_id(list_ffpp(tree).rows)
    fake = rows["ffpp/Deepfakes/c23/001_002"]
    assert (fake["label"], fake["method"], fake["compression"]) == (FAKE, "Deepfakes", "c23")
    assert (fake["target_id"], fake["donor_ids"]) == ("001", ["002"])
    assert fake["identities"] == ["ffpp/001", "ffpp/002"]
    assert fake["pair_id"] == "ffpp/youtube/c23/001"
    assert fake["origin_id"] == "rec 1"  # the target's recording: YouTube ids hold spaces, too
    assert fake["path"] == FAKES.format("Deepfakes", "c23", "001", "002")
    real = rows["ffpp/youtube/c23/001"]
    assert (real["label"], real["method"], real["donor_ids"]) == (REAL, "real", [])
    # 004 is not there at all, 002 not at c40: no pair.
    assert rows["ffpp/Face2Face/c23/004_003"]["pair_id"] is None
    assert rows["ffpp/FaceSwap/c40/002_001"]["pair_id"] is None


def test_groups_join_pairs_and_recordings_and_a_note_tells_of_the_leak(tree):
    rows, notes, _ = list_ffpp(tree)[:3]
    groups = {row["target_id"]: row["group"] for row in rows}
    assert groups["001"] == groups["002"] == groups["005"] == "ffpp/001"
    assert groups["003"] == groups["004"] == "ffpp/003"
    assert groups["999"] == "ffpp/999"
    assert any("divide 1 groups" in note and "ffpp/001" in note for note in notes)
    (tree / "conversion_dict.json").unlink()
    rows, notes, _ = list_ffpp(tree)[:3]
    assert all(row["origin_id"] is None for row in rows)
    assert not any("divide" in note for note in notes)


def test_one_compression_can_be_chosen(tree):
    rows, _, _ = list_ffpp(tree, compression="c40")[:3]
    assert {row["compression"] for row in rows} == {"c40"} and len(rows) == 2
    with pytest.raises(UsageError, match="holds no FaceForensics.* at compression raw"):
        list_ffpp(tree, compression="raw")
    with pytest.raises(UsageError, match="Did you mean 'c23'"):
        list_ffpp(tree, compression="c32")


def test_other_videos_of_the_tree_are_left_aside_and_told(tree):
    touch(tree / "original_sequences/actors/c23/videos/01__hugging.mp4")
    touch(tree / "manipulated_sequences/Deepfakes/masks/videos/001_002.mp4")
    rows, notes, _ = list_ffpp(tree)[:3]
    assert len(rows) == 9
    (note,) = [note for note in notes if "ignored" in note]
    assert "original_sequences/actors (1)" in note
    assert "manipulated_sequences" not in note  # the mask belongs to its fake
    masks = {row["video_id"]: row.get("mask_path") for row in rows if row.get("mask_path")}
    mask = "manipulated_sequences/Deepfakes/masks/videos/001_002.mp4"
    assert masks == {"ffpp/Deepfakes/c23/001_002": mask}


def test_raw_is_also_spelt_c0_and_counts_once(tree):
    touch(tree / ORIGINALS.format("c0", "001"))
    touch(tree / FAKES.format("FaceShifter", "c0", "001", "002"))
    touch(tree / ORIGINALS.format("raw", "001"))
    for spelling in ("raw", "c0"):
        rows = by_id(list_ffpp(tree, compression=spelling).rows)
        assert set(rows) == {"ffpp/youtube/raw/001", "ffpp/FaceShifter/raw/001_002"}
        assert rows["ffpp/FaceShifter/raw/001_002"]["pair_id"] == "ffpp/youtube/raw/001"
        assert rows["ffpp/FaceShifter/raw/001_002"]["path"].split("/")[2] == "c0"


def test_what_the_splits_name_and_the_folders_lack_is_listed(tree):
    problems = list_ffpp(tree).problems
    assert {problem.kind for problem in problems} == {"partial"}
    absent = {problem.video_id for problem in problems}
    assert "ffpp/youtube/c23/004" in absent and "ffpp/Deepfakes/c23/002_001" in absent
    assert not any("NeuralTextures" in name for name in absent)  # not downloaded at all


def test_what_is_missing_is_named(tree, tmp_path_factory):
    with pytest.raises(UsageError, match="neither original_sequences/ nor"):
        list_ffpp(tmp_path_factory.mktemp("empty"))
    (tree / "splits/val.json").write_text('{"a": 1}')
    with pytest.raises(UsageError, match="val.json is damaged: its content is an object"):
        list_ffpp(tree)
    (tree / "splits/val.json").unlink()
    with pytest.raises(UsageError, match="val.json is missing; copy"):
        list_ffpp(tree)


@pytest.mark.samples
def test_the_published_splits_and_their_seven_leaks(samples, tmp_path):
    """All 1000 sequences as published: 720 + 140 + 140, seven recordings in two splits."""
    for name in ("splits", "conversion_dict.json"):
        (tmp_path / name).symlink_to(samples / "ffpp" / name)
    for i in range(1000):
        touch(tmp_path / ORIGINALS.format("c23", f"{i:03d}"))
    rows, notes, _ = list_ffpp(tmp_path)[:3]
    splits = [row["split"] for row in rows]
    assert [splits.count(s) for s in ("train", "val", "test", "none")] == [720, 140, 140, 0]
    by_origin = {}
    for row in rows:
        by_origin.setdefault(row["origin_id"], set()).add(row["split"])
    assert len(by_origin) == 977
    assert sum(len(found) > 1 for found in by_origin.values()) == 7
    assert "divide" in notes[0]
