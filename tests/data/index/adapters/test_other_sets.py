"""Tests the adapters of DeeperForensics-1.0, FFIW and UADFV: classes, splits and pairs."""

import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.deeperforensics import list_deeperforensics
from dfjax.data.index.adapters.ffiw import list_ffiw
from dfjax.data.index.adapters.uadfv import list_uadfv
from dfjax.errors import UsageError


@pytest.fixture
def deeper(tmp_path, touch):
    root = touch(
        tmp_path / "DeeperForensics-1.0",
        "manipulated_videos/end_to_end/000_M101.mp4",
        "manipulated_videos/end_to_end/001_W001.mp4",
        "manipulated_videos/end_to_end_level_3/000_M101.mp4",
        "source_videos/M101/M101_light_up_happy_camera_front.mp4",
        "lists/splits/val.txt",
    )
    (root / "lists/splits/train.txt").write_text("000_M101.mp4\n")
    (root / "lists/splits/test.txt").write_text("002_W002.mp4\n")
    return root


def test_the_reals_of_deeperforensics_are_elsewhere(deeper, kinds):
    listing = list_deeperforensics(deeper)
    rows = {row["video_id"]: row for row in listing.rows}
    assert {row["label"] for row in rows.values()} == {FAKE}  # source_videos are not reals
    row = rows["deeperforensics/end_to_end_level_3/000_M101"]
    assert (row["method"], row["split"]) == ("end_to_end_level_3", "train")
    assert row["pair_id"] == "ffpp/youtube/c23/000"
    assert row["identities"] == ["ffpp/000", "deeperforensics/M101"]
    assert row["group"] == "deeperforensics/M101"
    found = kinds(listing)
    assert found["unlisted"] == ["deeperforensics/end_to_end/001_W001"]
    assert set(found["absent"]) == {
        "deeperforensics/end_to_end/002_W002",
        "deeperforensics/end_to_end_level_3/002_W002",
    }
    assert any("source_videos/ is ignored" in note for note in listing.notes)
    (deeper / "lists/splits/val.txt").unlink()
    with pytest.raises(UsageError, match="val.txt is missing"):
        list_deeperforensics(deeper)


@pytest.mark.parametrize("top", ["", "FFIW10K-v1-release/"])
def test_ffiw_pairs_by_name_within_a_split(tmp_path, touch, top, kinds):
    root = touch(
        tmp_path,
        *(f"{top}{p}.mp4" for p in ("source/train/1", "source/val/1", "target/val/videos/1")),
        *(f"{top}{p}.mp4" for p in ("target/train/2", "target_mask/val/1", "target/odd/3")),
    )
    listing = list_ffiw(root)
    rows = {row["video_id"]: row for row in listing.rows}
    fake = rows["ffiw/target/val/1"]
    assert (fake["label"], fake["split"]) == (FAKE, "val")
    assert fake["pair_id"] == fake["group"] == "ffiw/source/val/1"
    assert fake["mask_path"] == f"{top}target_mask/val/1.mp4"
    assert rows["ffiw/target/train/2"]["pair_id"] is None
    assert rows["ffiw/source/train/1"]["label"] == REAL
    assert kinds(listing) == {"refused": ["ffiw/target/odd/3"]}


def test_uadfv_pairs_by_number(tmp_path, touch):
    root = touch(tmp_path, "real/0000.mp4", "Fake/0000_fake.mp4", "Fake/0001_fake.mp4")
    rows = {row["video_id"]: row for row in list_uadfv(root).rows}
    assert rows["uadfv/fake/0000_fake"]["pair_id"] == "uadfv/real/0000"
    assert rows["uadfv/fake/0000_fake"]["path"] == "Fake/0000_fake.mp4"
    assert rows["uadfv/fake/0001_fake"]["pair_id"] is None
    assert {row["split"] for row in rows.values()} == {"none"}
    with pytest.raises(UsageError, match="no videos in fake/"):
        list_uadfv(touch(tmp_path / "b", "real/0.mp4"))
