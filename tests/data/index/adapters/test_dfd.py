"""Tests the adapter of DeepFakeDetection: actors, scenes, and fakes without a real video."""

import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.dfd import list_dfd
from dfjax.errors import UsageError

REALS = "original_sequences/actors/{}/videos/{}.mp4"
FAKES = "manipulated_sequences/DeepFakeDetection/{}/videos/{}.mp4"
FAKE_NAME = "01_02__talking_against_wall__YVGY8LOK"


@pytest.fixture
def tree(tmp_path, touch):
    return touch(
        tmp_path,
        REALS.format("c23", "01__talking_against_wall"),
        REALS.format("raw", "01__talking_against_wall"),
        FAKES.format("c23", FAKE_NAME),
        FAKES.format("c23", "03_02__exit_phone_room__AAAABBBB"),
        "manipulated_sequences/DeepFakeDetection/masks/videos/" + FAKE_NAME + ".mp4",
        "original_sequences/youtube/c23/videos/000.mp4",
    )


def test_actors_scene_pair_and_mask(tree):
    listing = list_dfd(tree)
    rows = {row["video_id"]: row for row in listing.rows}
    assert len(rows) == 4 and {row["split"] for row in rows.values()} == {"none"}
    fake = rows[f"dfd/DeepFakeDetection/c23/{FAKE_NAME}"]
    assert (fake["label"], fake["method"]) == (FAKE, "DeepFakeDetection")
    assert (fake["target_id"], fake["donor_ids"]) == ("01", ["02"])
    assert fake["identities"] == ["dfd/01", "dfd/02"]
    assert fake["pair_id"] == "dfd/actors/c23/01__talking_against_wall"
    assert fake["mask_path"].endswith(f"masks/videos/{FAKE_NAME}.mp4")
    real = rows[fake["pair_id"]]
    assert real["label"] == REAL and real["group"] == fake["group"]


def test_a_fake_without_its_real_is_counted(tree):
    listing = list_dfd(tree)
    alone = [r for r in listing.rows if r["label"] == FAKE and r["pair_id"] is None]
    assert [row["target_id"] for row in alone] == ["03"]
    assert any("1 fakes have no real video of their scene" in n for n in listing.notes)


def test_frames_of_a_video_are_a_video(tree, touch):
    folder = "original_sequences/actors/c40/images/05__podium_speech_happy"
    touch(tree, f"{folder}/0000.png", f"{folder}/0001.png")
    (row,) = (r for r in list_dfd(tree).rows if r["compression"] == "c40")
    assert (row["video_id"], row["path"]) == ("dfd/actors/c40/05__podium_speech_happy", folder)


def test_other_names_are_listed_and_an_empty_tree_is_told(tree, tmp_path, touch, kinds):
    touch(tree, REALS.format("c23", "readme"))
    assert kinds(list_dfd(tree)) == {"refused": ["dfd/readme"]}
    assert len(list_dfd(tree, compression="c0").rows) == 1
    with pytest.raises(UsageError, match="no videos of DeepFakeDetection"):
        list_dfd(touch(tmp_path / "b", "original_sequences/youtube/c23/videos/000.mp4"))
