"""Tests CSV files of videos: labels, optional columns, and unsafe or missing paths."""

import cv2
import numpy as np
import pytest

from dfjax import FAKE, REAL
from dfjax.commands.main import main
from dfjax.data.index.adapters.csv_table import list_csv
from dfjax.data.index.records import read_index
from dfjax.errors import UsageError


def test_columns_become_columns(tmp_path, touch):
    root = touch(tmp_path, "a.mp4", "sub/b.avi", "frames/x/1.png")
    (root / "list.csv").write_text(
        "path, label,split,method,target_id,donor_ids,pair_id,note\n"
        "a.mp4,REAL,validation,,p1,,,x\n"
        "sub\\b.avi,1,train,swap,p1,p2;p3,list/a,\n"
        f"{root.resolve()}/frames/x,fake,,,,,,\n"
    )
    listing = list_csv(root)
    real, fake, frames = listing.rows
    assert (real["video_id"], real["label"], real["split"]) == ("list/a", REAL, "val")
    assert (fake["path"], fake["label"], fake["method"]) == ("sub/b.avi", FAKE, "swap")
    assert fake["identities"] == ["list/p1", "list/p2", "list/p3"]
    assert fake["pair_id"] == "list/a"
    assert (frames["path"], frames["frame_indices"]) == ("frames/x", [1])
    assert listing.notes == ["ignored columns: note"]


def test_rows_that_cannot_be_taken_are_listed(tmp_path, touch, kinds):
    root = touch(tmp_path / "d", "a.mp4", "b.mp4", "empty/readme.txt")
    touch(tmp_path, "secret.mp4")
    (root / "t.csv").write_text(
        "path,label,split,method\na.mp4,0,train,\n../secret.mp4,1,,\n/etc/passwd,1,,\n"
        "C:\\x.mp4,1,,\ngone.mp4,1,,\nb.mp4,2,,\nb.mp4,1,trian,\nb.mp4,0,,swap\nempty,1,,\n,1,,\n"
        f"{'x' * 300}.mp4,1,,\n"
    )
    listing = list_csv(root)
    assert [row["path"] for row in listing.rows] == ["a.mp4"]
    found = kinds(listing)
    assert found["absent"] == ["gone.mp4"] and len(found["refused"]) == 9
    errors = " ".join(problem.error for problem in listing.problems)
    assert "line 3 of t.csv: the path leads outside" in errors
    assert "the label is '2'" in errors and "the split is 'trian'" in errors


def test_same_stems_keep_suffixes_and_files_are_found(tmp_path, touch):
    root = touch(tmp_path, "a.mp4", "a.avi")
    (root / "one.csv").write_text("path,label\na.mp4,0\na.avi,1\n")
    assert [row["video_id"] for row in list_csv(root).rows] == ["one/a.mp4", "one/a.avi"]
    (root / "two.csv").write_text("file,label\na.mp4,0\n")
    with pytest.raises(UsageError, match="holds 2 .csv files"):
        list_csv(root)
    with pytest.raises(UsageError, match="needs the columns path and label"):
        list_csv(root, table=str(root / "two.csv"))
    assert {
        r["dataset"] for r in list_csv(root, table=str(root / "one.csv"), dataset="z").rows
    } == {"z"}
    with pytest.raises(UsageError, match="does not exist"):
        list_csv(root, table="absent.csv")


def test_the_file_itself_may_be_the_root(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "b.txt").write_text("no table")
    (tmp_path / "t.csv").write_text("path,label\na.png,1\n../b.txt,1\n")
    out = tmp_path / "work" / "index.parquet"
    command = ["data", "index", "--adapter", "csv", "--root", str(tmp_path / "t.csv")]
    assert main([*command, "--out", str(out), "--workers", "1"]) == 1
    assert read_index(out)["video_id"].tolist() == ["t/a"]
    assert "refused: line 3" in (out.parent / "errors.jsonl").read_text()


def test_ids_and_masks_lead_nowhere_else(tmp_path):
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((8, 8, 3), np.uint8))
    lines = ["a.png,0,../../x,", "b.png,1,y/z,", "c.png,1,w,../m.mp4", "a.png,1,/v,"]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,video_id,mask_path", *lines]))
    out = tmp_path / "work" / "index.parquet"
    command = ["data", "index", "--adapter", "csv", "--root", str(tmp_path / "t.csv")]
    assert main([*command, "--out", str(out), "--workers", "1"]) == 1
    assert read_index(out)["video_id"].tolist() == ["y/z"]
    errors = (out.parent / "errors.jsonl").read_text()
    assert errors.count("its video_id leads outside") == 2 and "line 4 of t.csv" in errors


def write_table(root, lines):
    (root / "t.csv").write_text("\n".join(["path,label,pair_id", *lines]) + "\n")


def test_when_no_row_can_be_used_the_commonest_reasons_are_said(tmp_path, touch):
    root = touch(tmp_path, "faces/a.jpg")
    lines = [f"{letter}.jpg,1," for letter in "abcdefg"] + [f"../b{k}.jpg,1," for k in range(3)]
    write_table(root, [*lines, "faces/a.jpg,9,"])
    with pytest.raises(UsageError) as error:
        list_csv(root)
    said = str(error.value)
    assert said.startswith("none of the 11 rows of") and f"with root {root}" in said
    assert f"7 times: the file is missing ({root.resolve()}/a.jpg); 3 times: the path leads" in said
    assert "1 times: the label is '9'" in said


def test_absolute_paths_below_the_root_are_taken(tmp_path, touch):
    root = touch(tmp_path / "d", "a.jpg", "b.jpg")
    (tmp_path / "link").symlink_to(root)
    write_table(root, [f"{tmp_path}/link/a.jpg,0,", f"{root}/b.jpg,1,", f"{root}/../x.jpg,1,"])
    listing = list_csv(tmp_path / "link", table=str(root / "t.csv"))
    assert [row["path"] for row in listing.rows] == ["a.jpg", "b.jpg"]
    assert "leads outside" in listing.problems[0].error
    whole = list_csv(type(root)("/"), table=str(root / "t.csv"))  # the whole disk as the root
    assert {row["root"] for row in whole.rows} == {"/"}
    assert [row["path"] for row in whole.rows] == [
        f"{tmp_path}/link/a.jpg"[1:], f"{root}/b.jpg"[1:]
    ]  # fmt: skip


def test_a_pair_may_be_a_stem_or_a_path_and_others_are_counted(tmp_path, touch):
    names = ("r1.jpg", "sub/r2.jpg", "one/r3.jpg", "two/r3.jpg", "f1.jpg", "f2.jpg")
    root = touch(tmp_path, *names, "f3.jpg", "f4.jpg", "f5.jpg")
    reals = [f"{name},0," for name in names[:4]]
    pairs = ["r1", "sub/r2.jpg", "t/r1", "r3", "gone"]
    write_table(root, reals + [f"f{k}.jpg,1,{pair}" for k, pair in enumerate(pairs, 1)])
    listing = list_csv(root)
    found = {row["path"]: row["pair_id"] for row in listing.rows if row["label"] == FAKE}
    assert list(found.values()) == ["t/r1", "t/sub/r2", "t/r1", "r3", "gone"]
    assert listing.notes[-2:] == [
        "1 rows have a pair_id that names several real videos of the table: r3",
        "1 rows have a pair_id that names no real video of the table: gone",
    ]


def test_a_pair_may_be_an_absolute_path(tmp_path, touch):
    root = touch(tmp_path, "r.jpg", "f.jpg", "g.jpg")
    write_table(root, [f"{root}/r.jpg,0,", f"{root}/f.jpg,1,{root}/r.jpg", "g.jpg,1,/else/r.jpg"])
    for place in (root, type(root)("/")):
        listing = list_csv(place, table=str(root / "t.csv"))
        pairs = [row["pair_id"] for row in listing.rows if row["label"] == FAKE]
        assert pairs[0] == listing.rows[0]["video_id"]
        assert place != root or pairs[1] == "/else/r.jpg"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_of_spreadsheets(tmp_path, touch, encoding, delimiter):
    root = touch(tmp_path, "ä.mp4", "b.mp4")
    text = "Path , LABEL,Video ID,Split\nä.mp4,Real,set/ä,train\nb.mp4,FAKE,set/b,test\n"
    (root / "list.csv").write_bytes(text.replace(",", delimiter).encode(encoding))
    listing = list_csv(root)
    assert [row["video_id"] for row in listing.rows] == ["set/ä", "set/b"]
    assert [row["split"] for row in listing.rows] == ["train", "test"] and not listing.problems
    said = " ".join(listing.notes)
    assert ("Latin-1" in said, "UTF-16" in said) == (encoding == "latin-1", encoding == "utf-16")
    assert ("semicolons" in said, "tabs" in said) == (delimiter == ";", delimiter == "\t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,Label\na.mp4,0,1\n", "has 2 columns called label; keep one"),
        ("", "it is empty"),
        (
            '"path,label\n' + "a.mp4,0\n" * 500,
            "needs the columns path and label; it has path,label",
        ),
        ('path,label\n"a.mp4,0\n', "none of the 1 rows"),
        ("path,label,method\na.mp4,1,real\n", "a fake cannot have the method"),
        ("path,label\na.mp4,1,real\n", "more fields than the header"),
    ],
)
def test_damaged_tables_are_one_line(tmp_path, touch, text, message):
    root = touch(tmp_path, "a.mp4")
    (root / "list.csv").write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        list_csv(root)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
