"""Tests the adapter of Celeb-DF: its test list (1 is real), people, and all three variants."""

import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.celebdf import list_celebdf
from dfjax.data.index.records import check_index, make_index
from dfjax.errors import UsageError

LIST = "List_of_testing_videos.txt"
V2 = (
    "Celeb-real/id0_0000.mp4",
    "Celeb-real/id0_0001.mp4",
    "Celeb-real/id1_0000.mp4",
    "YouTube-real/00170.mp4",
    "YouTube-real/00171.mp4",
    "Celeb-synthesis/id0_id1_0000.mp4",
    "Celeb-synthesis/id1_id0_0007.mp4",
)
TESTED = "1 YouTube-real/00170.mp4\n1 Celeb-real/id0_0000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"


@pytest.fixture
def tree(tmp_path, touch):
    root = touch(tmp_path / "Celeb-DF-v2", *V2)
    (root / LIST).write_text(TESTED)
    return root


def by_id(listing):
    return {row["video_id"].removeprefix("celebdf_v2/"): row for row in listing.rows}


def test_one_in_the_list_is_real_and_its_first_line_counts(tree):
    listing = list_celebdf(tree)
    rows = by_id(listing)
    assert len(rows) == 7 and not listing.problems
    assert {name for name, row in rows.items() if row["split"] == "test"} == {
        "YouTube-real/00170",  # the first line: the file has no header
        "Celeb-real/id0_0000",
        "Celeb-synthesis/id0_id1_0000",
    }
    assert {row["split"] for row in rows.values()} == {"train", "test"}
    labels = {name.split("/")[0]: row["label"] for name, row in rows.items()}
    assert labels == {"Celeb-real": REAL, "YouTube-real": REAL, "Celeb-synthesis": FAKE}
    check_index(make_index(listing.rows), "rows")


def test_names_tell_target_donor_and_the_pair(tree):
    rows = by_id(list_celebdf(tree))
    fake = rows["Celeb-synthesis/id0_id1_0000"]
    assert (fake["target_id"], fake["donor_ids"]) == ("id0", ["id1"])
    assert fake["identities"] == ["celebdf/id0", "celebdf/id1"]
    assert fake["pair_id"] == fake["group"] == "celebdf_v2/Celeb-real/id0_0000"
    assert fake["origin_id"] == rows["Celeb-real/id0_0000"]["origin_id"]
    alone = rows["Celeb-synthesis/id1_id0_0007"]
    assert alone["pair_id"] is None  # id1_0007 is not there
    assert rows["YouTube-real/00170"]["identities"] == []


@pytest.mark.parametrize("youtube", ["Youtube-real", "YouTube-real"])
def test_spelling_and_a_level_of_videos_do_not_matter(tmp_path, touch, youtube):
    paths = [p.replace("/", "/videos/").replace("YouTube-real", youtube) for p in V2]
    root = touch(tmp_path / "cdf", *paths)
    (root / LIST).write_text("\ufeff" + TESTED.replace("\n", "\r\n"), encoding="utf-8")
    listing = list_celebdf(root)
    assert not listing.problems and len(listing.rows) == 7
    assert by_id(listing)["YouTube-real/00170"]["split"] == "test"
    assert by_id(listing)["YouTube-real/00170"]["path"] == f"{youtube}/videos/00170.mp4"


def test_lines_that_do_not_fit_are_listed(tree, kinds):
    (tree / LIST).write_text(
        TESTED + "1 Celeb-real/id9_0000.mp4\n0 Celeb-real/id1_0000.mp4\n"
        "1 ../../etc/passwd\n1 /etc/passwd\nlabel path\n\n"
    )
    listing = list_celebdf(tree)
    found = kinds(listing)
    assert found["absent"] == ["Celeb-real/id9_0000.mp4"]
    assert found["conflict"] == ["celebdf_v2/Celeb-real/id1_0000"]
    assert found["refused"] == ["../../etc/passwd", "/etc/passwd", "path"]
    assert by_id(listing)["Celeb-real/id1_0000"]["label"] == REAL  # the folder's word counts
    assert any("4 of" in p.error or "line 4" in p.error for p in listing.problems)


def test_variants_are_found_and_named(tree, tmp_path, touch):
    assert {row["dataset"] for row in list_celebdf(tree, variant="v1").rows} == {"celebdf_v1"}
    first = tree.rename(tmp_path / "Celeb-DF-v1")
    assert {row["dataset"] for row in list_celebdf(first).rows} == {"celebdf_v1"}
    with pytest.raises(UsageError, match="unknown variant"):
        list_celebdf(first, variant="v3")


def test_plus_plus_sorts_fakes_by_scenario_and_method(tmp_path, touch):
    root = touch(
        tmp_path / "x",
        "Celeb-real/id0_0000.mp4",
        "Celeb-synthesis/FaceSwap/Celeb-DF/id0_id1_0000.mp4",
        "Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0000.mp4",
        "Celeb-synthesis/TalkingFace/SadTalker/id0_0000_fake.mp4",
    )
    (root / LIST).write_text("0 Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0000.mp4\n")
    rows = {row["video_id"]: row for row in list_celebdf(root).rows}
    blend = rows["celebdf_pp/Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0000"]
    assert (blend["method"], blend["split"]) == ("BlendFace", "test")
    assert blend["pair_id"] == "celebdf_pp/Celeb-real/id0_0000"
    talk = rows["celebdf_pp/Celeb-synthesis/TalkingFace/SadTalker/id0_0000_fake"]
    assert (talk["target_id"], talk["donor_ids"]) == ("id0", [])
    assert talk["pair_id"] == "celebdf_pp/Celeb-real/id0_0000"


def test_what_is_missing_is_named(tree, tmp_path):
    (tree / LIST).unlink()
    with pytest.raises(UsageError, match="List_of_testing_videos.txt is missing"):
        list_celebdf(tree)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no Celeb-real/"):
        list_celebdf(tmp_path / "empty")
