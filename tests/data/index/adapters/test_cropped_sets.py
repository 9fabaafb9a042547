"""Tests data sets that are published as face crops: WildDeepfake, DF40, folders of frames."""

import pytest

from dfjax import FAKE, REAL
from dfjax.commands.main import main
from dfjax.data.index.adapters.df40 import list_df40
from dfjax.data.index.adapters.folder import list_folder, list_frames
from dfjax.data.index.adapters.frame_folders import describe_frames
from dfjax.data.index.adapters.wilddeepfake import list_wilddeepfake
from dfjax.data.index.records import read_index
from dfjax.data.store.pack import open_pack
from dfjax.errors import UsageError


def by_id(listing):
    return {row["video_id"]: row for row in listing.rows}


def test_frame_numbers_are_the_last_numbers_of_names(tmp_path):
    def numbers(*names):
        fields = describe_frames(tmp_path, names)
        return fields["frame_indices"], fields["frame_names"]

    assert numbers("10.png", "2.png") == ([2, 10], ["2.png", "10.png"])
    assert numbers("id3_frame_007.jpg") == ([7], ["id3_frame_007.jpg"])
    assert numbers("000001.jpg", "000000.jpg") == ([0, 1], None)  # named like ours
    assert numbers("b1.png", "a1.png") == ([0, 1], ["a1.png", "b1.png"])  # 1 twice: counted
    assert numbers("left.png", "9.png") == ([0, 1], ["9.png", "left.png"])
    assert numbers("99999999999.png") == ([0], ["99999999999.png"])  # beyond int32


def test_wilddeepfake_sequences_belong_to_the_video_of_their_archive(tmp_path, touch):
    root = touch(
        tmp_path,
        *(f"real_train/0/real/0/{i}.png" for i in range(3)),
        "real_train/0/real/1/5.png",
        "fake_test/7/fake/0/1.png",
        "fake_test/7/readme.txt",
    )
    rows = by_id(list_wilddeepfake(root))
    assert len(rows) == 3
    first, second = (
        rows["wilddeepfake/real_train/0/real/0"],
        rows["wilddeepfake/real_train/0/real/1"],
    )
    assert (first["label"], first["split"], first["frame_indices"]) == (REAL, "train", [0, 1, 2])
    assert first["group"] == second["group"] == "wilddeepfake/real_train/0"
    fake = rows["wilddeepfake/fake_test/7/fake/0"]
    assert (fake["label"], fake["split"], fake["method"]) == (FAKE, "test", "wild")
    with pytest.raises(UsageError, match="extract its archives first"):
        list_wilddeepfake(touch(tmp_path / "packed", "real_train/0.tar.gz"))


def test_df40_knows_methods_domains_and_whose_faces_they_are(tmp_path, touch):
    root = touch(
        tmp_path / "sets",
        "DF40/simswap/ff/frames/000_003/001.png",
        "DF40/simswap/ff/masks/000_003/001.png",
        "DF40/simswap/cdf/frames/id0_id1_0002/004.png",
        "DF40_train/simswap/ff/frames/005_010/001.png",
        "DF40/heygen/real/frames/a/0.png",
        "DF40/whichisreal/fake/x.png",
        "FaceForensics++/original_sequences/youtube/c23/frames/000/001.png",
    )
    listing = list_df40(root)
    rows = by_id(listing)
    swap = rows["df40/test/simswap/ff/000_003"]
    assert (swap["method"], swap["label"], swap["split"]) == ("simswap", FAKE, "test")
    assert swap["identities"] == ["ffpp/000", "ffpp/003"]
    assert rows["df40/test/simswap/cdf/id0_id1_0002"]["identities"] == [
        "celebdf/id0",
        "celebdf/id1",
    ]
    assert rows["df40/train/simswap/ff/005_010"]["split"] == "train"
    assert rows["df40/test/heygen/real/a"]["label"] == REAL
    image = rows["df40/test/whichisreal/fake/x"]
    assert image["label"] == FAKE and image["frame_names"] == ["x.png"]
    assert len(rows) == 5
    assert any("1 folders of images" in note for note in listing.notes)


def test_folders_of_frames_index_and_pack_where_they_are(tmp_path, crop, capsys):
    root, work = tmp_path / "set", tmp_path / "work"
    for kind, shade in (("real", 10), ("fake/swap", 90)):
        for k in (3, 12):
            crop(root / kind / "a" / f"f_{k}.png", shade + k)
    crop(root / "fake/b.jpg", 50)
    rows = by_id(list_frames(root))
    assert set(rows) == {"set/real/a", "set/fake/swap/a", "set/fake/b"}
    assert rows["set/fake/swap/a"]["pair_id"] == "set/real/a"
    command = ["--adapter", "frames", "--root", str(root), "--out", str(work / "index.parquet")]
    assert main(["data", "index", *command, "--workers", "1"]) == 0
    index = read_index(work / "index.parquet").set_index("video_id")
    assert index.loc["set/real/a", "n_frames"] == 2 and index.loc["set/real/a", "codec"] == "png"
    assert index.loc["set/real/a", "frame_indices"] == [3, 12]
    pack = ["data", "pack", "--index", str(work / "index.parquet"), "--out", str(tmp_path / "pack")]
    assert main(pack) == 0
    opened = open_pack(tmp_path / "pack")
    row = opened.index["video_id"].tolist().index("set/real/a")
    assert opened.read(row, [12])[0, 15, 15].tolist() == [22, 22, 22]  # PNG keeps pixels
    (root / "real/a/f_3.png").write_bytes((root / "real/a/f_3.png").read_bytes()[:-9])
    assert main([*pack[:-1], str(tmp_path / "other")]) == 1
    assert "f_3.png: not a complete JPEG or PNG" in (tmp_path / "other/errors.jsonl").read_text()


@pytest.mark.parametrize(
    "pattern", ["_fake", "*_fake.mp4", r"_fake\.mp4$", "(?i)_FAKE.*", "[ab]_fake.*4"]
)
def test_a_pattern_says_which_are_fake(tmp_path, touch, pattern):
    root = touch(tmp_path / "d", "a_fake.mp4", "deep/b_fake.mp4", "c.mp4", "deep/d.mp4")
    rows = list_folder(root, fake_pattern=pattern).rows
    fakes = {row["path"] for row in rows if row["label"] == FAKE}
    assert fakes == {"a_fake.mp4", "deep/b_fake.mp4"} and len(rows) == 4


def test_a_pattern_that_splits_nothing_is_told(tmp_path, touch):
    root = touch(tmp_path / "d", "train/a.mp4", "train/b.mp4")
    with pytest.raises(UsageError, match="no videos or images that are fake by the pattern"):
        list_folder(root, fake_pattern="zz")
    with pytest.raises(UsageError, match="is not valid"):
        list_folder(root, fake_pattern="(")
