"""Tests `dfjax data dedupe`: copies made by hand share a group, and no split divides them then."""

import json

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.index.audit import audit
from dfjax.data.index.dedupe import dedupe_index
from dfjax.data.index.records import make_index, make_record, read_index, write_index

NEAR = "near_duplicate_across_splits"


def picture(seed):
    """Returns an image with structure at all scales, as unlike others as two strangers."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(0, 255, (side, side, 3)), (96, 96), interpolation=cv2.INTER_CUBIC)
        for side in (4, 8, 16)
    ]
    return np.clip(np.mean(layers, axis=0), 0, 255).astype(np.uint8)


def write_crops(folder, pictures, *, qualities=95, **columns):
    """Writes an index of one-frame videos v0, v1, … in the split train, each its own group."""
    rows = []
    for i, image in enumerate(pictures):
        crop = folder / "crops" / f"v{i}" / "000000.jpg"
        crop.parent.mkdir(parents=True)
        cv2.imwrite(str(crop), image, [cv2.IMWRITE_JPEG_QUALITY, qualities])
        rows.append(
            make_record(
                video_id=f"v{i}", dataset="d", label=i % 2, method="m" if i % 2 else None,
                split="train", group=f"g{i}", frames_dir=f"crops/v{i}", frame_indices=[0],
            )
        )  # fmt: skip
    index = make_index(rows).assign(**columns)
    write_index(index, folder / "index.parquet", command="test")
    return index


def recode(image, *, quality, side):
    """Returns the image after shrinking it, and JPEG at a low quality."""
    coded = cv2.imencode(".jpg", cv2.resize(image, (side, side)), [1, quality])[1]
    return cv2.resize(cv2.imdecode(coded, cv2.IMREAD_COLOR), image.shape[:2])


@pytest.fixture
def copies(tmp_path):
    """Ten strangers; v10 is v0 coded again, v11 is v10 coded again, v12 is v1 brighter."""
    originals = [picture(seed) for seed in range(10)]
    again = recode(originals[0], quality=40, side=60)
    brighter = np.clip(originals[1] * 0.8 + 40, 0, 255).astype(np.uint8)
    pictures = [*originals, again, recode(again, quality=40, side=60), brighter]
    return tmp_path, write_crops(tmp_path, pictures)


def test_copies_share_a_group(copies, capsys):
    folder, before = copies
    out = folder / "joined.parquet"
    assert main(["data", "dedupe", "--index", str(folder), "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out.splitlines()[-1])
    assert said["joined"] == {"g0": ["v0", "v10", "v11"], "g1": ["v1", "v12"]}
    assert said["groups"] == {"before": 13, "after": 10} and said["largest"] == 3
    assert "the largest has 3 videos (23.1%)" in printed.out
    assert "note: the largest group has 23% of all videos" in printed.err
    assert {tuple(sorted((p["video_id"], p["other_id"]))) for p in said["pairs"]} >= {("v1", "v12")}
    after = read_index(out)
    assert after["group"].tolist()[10:] == ["g0", "g0", "g1"]
    old = read_index(folder / "index.parquet")
    assert after.drop(columns="group").equals(old.drop(columns="group"))


def test_no_split_divides_copies_afterwards(copies):
    folder, before = copies
    split = ["test" if name in ("v10", "v12") else "train" for name in before["video_id"]]
    found = {f["code"]: f for f in audit(folder, split=split).findings}
    assert set(found[NEAR]["ids"]) == {"v0", "v1", "v10", "v11", "v12"}
    dedupe_index(folder, folder / "joined.parquet")
    for seed in ("0", "1", "2"):
        call = ["data", "split", "--index", str(folder / "joined.parquet"), "--by", "group"]
        out = str(folder / "split.parquet")
        assert main([*call, "--ratios", "0.5,0.2,0.3", "--seed", seed, "--out", out]) == 0
        assert not [f for f in audit(out).findings if f["severity"] == "error"]


def test_pairs_and_splits_of_joined_groups(tmp_path):
    """A fake that is a copy of another's fake joins both pairs; the split is left as it is."""
    images = [picture(0), picture(1), picture(2), recode(picture(1), quality=50, side=64)]
    write_crops(
        tmp_path, images, pair_id=[None, "v0", None, "v2"], split=["train", "train", "test", "test"]
    )
    report = dedupe_index(tmp_path, tmp_path / "joined.parquet", similarity=0.9)
    assert report.joined == {"g0": ["v0", "v1", "v2", "v3"]} and report.groups == (2, 1)
    assert "1 joined groups are in several splits; split by group again" in report.notes
    assert read_index(tmp_path / "joined.parquet")["split"].tolist()[2:] == ["test", "test"]


def test_identical_files_without_content_are_joined(tmp_path):
    """Black frames have no descriptor; the files are compared by hash."""
    black = np.zeros((96, 96, 3), np.uint8)
    write_crops(tmp_path, [black, picture(1), black], sha256=["a", "b", "a"])
    report = dedupe_index(tmp_path, tmp_path / "joined.parquet")
    assert report.joined == {"g0": ["v0", "v2"]} and report.pairs == []


def test_unreadable_crops_are_listed(copies, capsys):
    folder, _ = copies
    (folder / "crops/v10/000000.jpg").write_bytes(b"\xff\xd8 no image")
    out = folder / "joined.parquet"
    assert main(["data", "dedupe", "--index", str(folder), "--out", str(out), "--json"]) == 1
    printed = capsys.readouterr()
    assert "dfjax: v10: " in printed.err
    assert list(json.loads(printed.out.splitlines()[-1])["unreadable"]) == ["v10"]


def test_wrong_usage(copies, capsys):
    folder, before = copies
    call = ["data", "dedupe", "--index", str(folder)]
    assert main([*call, "--out", str(folder / "index.parquet")]) == 2
    assert "is an input" in capsys.readouterr().err
    assert main([*call, "--out", str(folder / "o.parquet"), "--similarity", "2"]) == 2
    assert "similarity must be above 0" in capsys.readouterr().err
    bare = before.assign(frames_dir=None, frame_indices=None)
    write_index(bare, folder / "bare.parquet", command="test")
    call[-1] = str(folder / "bare.parquet")
    assert main([*call, "--out", str(folder / "o.parquet")]) == 2
    assert "has no readable crops (`dfjax data extract`)" in capsys.readouterr().err
    assert not (folder / "o.parquet").exists()
