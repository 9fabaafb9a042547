"""Tests the folder adapter: classes by folder, pairs by file name, and splits by group."""

import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.folder import list_folder
from dfjax.errors import UsageError


def make(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def by_path(rows):
    return {row["path"]: row for row in rows}


def test_labels_methods_and_ids_come_from_the_folders(tmp_path):
    root = make(
        tmp_path / "mine",
        "real/a.mp4",
        "real/deep/er/b.MOV",
        "real/notes.txt",
        "real/.hidden.mp4",
        "fake/c.avi",
        "fake/swap/x/d.mp4",
        "other/e.mp4",
    )
    rows = by_path(list_folder(root).rows)
    labels = {path: (row["label"], row["method"], row["video_id"]) for path, row in rows.items()}
    assert labels == {
        "real/a.mp4": (REAL, "real", "mine/real/a"),
        "real/deep/er/b.MOV": (REAL, "real", "mine/real/deep/er/b"),
        "fake/c.avi": (FAKE, "fake", "mine/fake/c"),
        "fake/swap/x/d.mp4": (FAKE, "swap", "mine/fake/swap/x/d"),
    }
    assert {row["dataset"] for row in list_folder(root, dataset="other").rows} == {"other"}


def test_same_stems_keep_their_suffix(tmp_path):
    root = make(tmp_path / "d", "real/a.mp4", "real/a.avi", "fake/b.mp4")
    ids = [row["video_id"] for row in list_folder(root).rows]
    assert ids == ["d/real/a.avi", "d/real/a.mp4", "d/fake/b"]


def test_a_fake_with_the_name_of_one_real_is_its_pair(tmp_path):
    root = make(
        tmp_path / "d",
        "real/a.mp4",
        "real/x/twice.mp4",
        "real/y/twice.mp4",
        "fake/swap/a.mp4",
        "fake/puppet/a.mov",
        "fake/twice.mp4",
    )
    rows, notes, _ = list_folder(root)[:3]
    rows = by_path(rows)
    for path in ("fake/swap/a.mp4", "fake/puppet/a.mov"):
        assert rows[path]["pair_id"] == rows[path]["group"] == "d/real/a"
    assert rows["fake/twice.mp4"]["pair_id"] is None
    assert rows["real/a.mp4"]["split"] == rows["fake/swap/a.mp4"]["split"]
    assert any(note.startswith("2 fakes are paired") for note in notes)


def test_split_folders_are_the_splits(tmp_path):
    root = make(
        tmp_path / "d",
        "train/real/a.mp4",
        "train/fake/b.mp4",
        "test/real/a.mp4",
        "test/fake/a.mp4",
    )
    rows = by_path(list_folder(root).rows)
    assert {path: row["split"] for path, row in rows.items()} == {
        path: path.split("/")[0] for path in rows
    }
    assert rows["test/fake/a.mp4"]["pair_id"] == "d/test/real/a"
    with pytest.raises(UsageError, match="train, test as folders: do not set ratios"):
        list_folder(root, ratios=(0.5, 0.25, 0.25))


def test_groups_are_dealt_out_by_the_ratios_each_class_alike(tmp_path):
    names = [f"{kind}/{i:02d}{kind}.mp4" for kind in ("real", "fake") for i in range(20)]
    root = make(tmp_path / "d", *names)
    rows, notes, _ = list_folder(root, ratios=(0.6, 0.2, 0.2), seed=3)[:3]
    for label in (REAL, FAKE):
        splits = [row["split"] for row in rows if row["label"] == label]
        assert [splits.count(s) for s in ("train", "val", "test")] == [12, 4, 4]
    again = list_folder(root, ratios=(0.6, 0.2, 0.2), seed=3).rows
    other = list_folder(root, ratios=(0.6, 0.2, 0.2), seed=4).rows
    assert again == rows and other != rows
    assert any("train 0.6, val 0.2, test 0.2" in note for note in notes)


def test_small_folders_still_have_every_split(tmp_path):
    names = [f"{kind}/{i}{kind}.mp4" for kind in ("real", "fake") for i in range(3)]
    rows, _, _ = list_folder(make(tmp_path / "d", *names))[:3]
    for label in (REAL, FAKE):
        assert sorted(row["split"] for row in rows if row["label"] == label) == [
            "test",
            "train",
            "val",
        ]


def test_a_ratio_of_zero_gives_an_empty_split(tmp_path):
    names = [f"{kind}/{i}{kind}.mp4" for kind in ("real", "fake") for i in range(7)]
    rows, _, _ = list_folder(make(tmp_path / "d", *names), ratios=(0.0, 0.0, 1.0))[:3]
    assert {row["split"] for row in rows} == {"test"}


def test_a_class_that_is_missing_is_named(tmp_path):
    with pytest.raises(UsageError, match="no videos or images in fake/"):
        list_folder(make(tmp_path / "d", "real/a.mp4"))
    with pytest.raises(UsageError, match="no videos or images in real/"):
        list_folder(make(tmp_path / "e", "fake/a.mp4", "real/readme.txt"))


def test_loops_of_links_end_and_linked_folders_count(tmp_path):
    root = make(tmp_path / "d", "real/a.mp4", "fake/b.mp4")
    make(tmp_path / "elsewhere", "c.mp4")
    (root / "real" / "loop").symlink_to(root / "real")
    (root / "real" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "fake" / "broken").symlink_to(tmp_path / "absent")
    paths = [row["path"] for row in list_folder(root).rows]
    assert paths.count("real/linked/c.mp4") == 1 and paths.count("real/a.mp4") == 1
    assert len(paths) == 3


@pytest.mark.parametrize("target", [".", "real", "fake"])
def test_links_never_list_one_class_as_the_other(tmp_path, target):
    root = make(tmp_path / "d", "real/deep/a.mp4", "fake/b.mp4")
    (root / "real" / "deep" / "up").symlink_to(root / target)
    (root / "fake" / "back").symlink_to(root / "real" / "deep")
    paths = [row["path"] for row in list_folder(root).rows]
    assert paths == ["real/deep/a.mp4", "fake/b.mp4"]


def test_images_in_numbers_are_pointed_out(tmp_path):
    root = make(tmp_path / "d", "real/a/0.png", "real/a/1.png", "fake/b.mp4")
    assert "2 images are read as videos of one frame" in list_folder(root).notes[-1]
    assert not any(
        "images" in n
        for n in list_folder(make(tmp_path / "e", *"real/a.mp4 fake/b.mp4".split())).notes
    )
