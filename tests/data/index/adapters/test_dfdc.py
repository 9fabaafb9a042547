"""Tests the adapters of DFDC and its preview: labels, originals, missing and unlisted files."""

import json

import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.dfdc import list_dfdc
from dfjax.data.index.adapters.dfdcp import list_dfdcp
from dfjax.errors import UsageError


@pytest.fixture
def tree(tmp_path, touch):
    part = "train/dfdc_train_part_0"
    root = touch(tmp_path, *(f"{part}/{name}.mp4" for name in ("real", "a", "b", "stray")))
    fake = {"label": "FAKE", "split": "train"}
    metadata = {
        "real.mp4": {"label": "REAL", "split": "train"},
        "a.mp4": fake | {"original": "real.mp4"},
        "b.mp4": fake | {"original": "gone.mp4"},
        "c.mp4": fake | {"original": "real.mp4"},
        "../../x.mp4": fake,
        "d.mp4": {"label": "MAYBE"},
    }
    (root / part / "metadata.json").write_text(json.dumps(metadata))
    touch(root, "test/t0.mp4", "test/videos/t1.mp4")
    (root / "test/labels.csv").write_text("filename,label\nt0.mp4,1\nt1.mp4,0\n")
    return root


def test_labels_splits_and_originals(tree):
    rows = {row["video_id"]: row for row in list_dfdc(tree).rows}
    a, b = (rows[f"dfdc/train/dfdc_train_part_0/{name}"] for name in "ab")
    assert (a["label"], a["split"], a["origin_id"]) == (FAKE, "train", "real")
    assert a["pair_id"] == "dfdc/train/dfdc_train_part_0/real"
    assert rows[a["pair_id"]]["group"] == a["group"] == "dfdc/real"
    assert b["pair_id"] is None and b["group"] == "dfdc/gone"  # its siblings stay together
    assert [(rows[f"dfdc/test/t{i}"]["label"], rows[f"dfdc/test/t{i}"]["split"]) for i in (0, 1)]\
        == [(FAKE, "test"), (REAL, "test")]  # fmt: skip
    assert rows["dfdc/test/t0"]["origin_id"] is None


def test_listed_but_absent_and_present_but_unlisted(tree, kinds):
    listing = list_dfdc(tree)
    found = kinds(listing)
    assert found["absent"] == ["dfdc/train/dfdc_train_part_0/c.mp4"]
    assert found["unlabelled"] == ["dfdc/train/dfdc_train_part_0/stray.mp4"]
    assert found["refused"] == ["dfdc/../../x.mp4", "dfdc/d.mp4"]
    assert len(listing.rows) == 5
    assert listing.notes == ["1 fakes have no original here: dfdc/train/dfdc_train_part_0/b"]


def test_a_part_alone_and_a_damaged_list(tree, tmp_path):
    part = tree / "train/dfdc_train_part_0"
    assert {row["video_id"] for row in list_dfdc(part).rows} == {"dfdc/real", "dfdc/a", "dfdc/b"}
    (part / "metadata.json").write_text("{")
    with pytest.raises(UsageError, match="metadata.json is damaged"):
        list_dfdc(part)
    (part / "metadata.json").unlink()
    with pytest.raises(UsageError, match="holds no metadata.json"):
        list_dfdc(part)


def test_the_preview_names_actors_and_sets(tmp_path, touch, kinds):
    root = touch(tmp_path, "original_videos/1/1_A.mp4", "method_A/1/1_2.mp4", "method_B/x.mp4")
    entries = {
        "original_videos/1/1_A.mp4": {"label": "real", "set": "train", "target_id": 1},
        "method_A/1/1_2.mp4": {"label": "fake", "set": "test", "target_id": 1, "swapped_id": 2,
                               "original": "original_videos/1/1_A.mp4"},
        "method_B/gone.mp4": {"label": "fake", "set": "test"},
        "/etc/passwd": {"label": "fake", "set": "test"},
    }  # fmt: skip
    (root / "dataset.json").write_text(json.dumps(entries))
    listing = list_dfdcp(root)
    real, fake = listing.rows
    assert (fake["method"], fake["split"], fake["label"]) == ("method_A", "test", FAKE)
    assert fake["identities"] == ["dfdcp/1", "dfdcp/2"] and fake["group"] == real["group"]
    assert fake["pair_id"] == real["video_id"] == "dfdcp/original_videos/1/1_A"
    assert kinds(listing) == {
        "absent": ["dfdcp/method_B/gone"],
        "refused": ["dfdcp//etc/passwd"],
        "unlabelled": ["dfdcp/method_B/x.mp4"],
    }
    (root / "dataset.json").unlink()
    with pytest.raises(UsageError, match="dataset.json is missing"):
        list_dfdcp(root)


@pytest.mark.parametrize(
    "text",
    [
        b"Filename;Label\r\na.mp4;1\r\nb.mp4;0\r\n",
        "sep=,\nfilename,label\na.mp4,1\nb.mp4,0\n".encode("utf-16"),
        b"filename,label\na.mp4,1\nb.mp4,0\n" + b"c" * 200_000 + b",1\n",
    ],
)
def test_labels_in_other_dialects_and_a_cell_that_is_too_long(tmp_path, text):
    (tmp_path / "test").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "test" / name).touch()
    (tmp_path / "test" / "labels.csv").write_bytes(text)
    if len(text) > 1000:
        with pytest.raises(UsageError, match="labels.csv is damaged at line 3: field larger"):
            list_dfdc(tmp_path)
        return
    labels = {row["path"]: row["label"] for row in list_dfdc(tmp_path).rows}
    assert labels == {"test/a.mp4": 1, "test/b.mp4": 0}
