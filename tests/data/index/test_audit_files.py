"""Tests the audit of files: missing, truncated or changed files, and near-duplicate faces."""

import cv2
import numpy as np
import pytest

from dfjax.data.index.audit import audit, faces, refused, to_json
from dfjax.data.index.audit.duplicates import SAME, describe_faces, find_matches
from dfjax.data.index.audit.findings import Evidence
from dfjax.data.index.audit.properties import compute_properties
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store.pack import pack
from dfjax.data.synthetic import generate
from dfjax.errors import UsageError


def codes(result):
    return {finding["code"]: finding for finding in result.findings}


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Returns the videos of the default synthetic set with fewer frames."""
    folder = tmp_path_factory.mktemp("synthetic")
    return generate(folder, videos=300, identities=40, frames=3, workers=1)[0]


@pytest.fixture(scope="module")
def sound(synthetic):
    return audit(synthetic)


def test_the_synthetic_set_is_sound(sound):
    assert set(codes(sound)) == set()
    assert sound.probe.auc < 0.6
    content = to_json(sound)
    assert content["n"] == {"videos": 300, "real": 150, "fake": 150}
    assert content["frames"]["ratio"] == 1.0


def test_a_pack_gives_the_same_answer(synthetic, sound, tmp_path):
    folder = tmp_path / "pack"
    pack(synthetic, folder)
    again = audit(folder)
    assert again.findings == sound.findings
    ours, theirs = again.evidence.faces, sound.evidence.faces
    assert np.abs(ours.patches.astype(int) - theirs.patches).max() <= 2


def test_lengths_that_give_the_class_away(synthetic, tmp_path):
    index = read_index(synthetic)
    rng = np.random.default_rng(0)
    index["n_frames"] = np.where(index["label"] == 1, 8, 50) + rng.integers(-1, 2, len(index))
    index["frames_dir"] = None
    write_index(index, tmp_path / "index.parquet", command="test")
    result = audit(tmp_path)
    found = codes(result)
    assert {"length_by_class", "shortcut_probe"} <= set(found)
    assert "mainly by length" in found["shortcut_probe"]["message"]
    assert {f["code"] for f in refused(result.findings, ["length_by_class"])} == {"shortcut_probe"}


def degrade(crops, quality, scale):
    small = [cv2.resize(crop, None, fx=scale, fy=scale) for crop in crops]
    coded = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for image in small]
    return [cv2.imdecode(data, cv2.IMREAD_COLOR) for data in coded]


@pytest.mark.parametrize(("quality", "scale"), [(30, 1.0), (75, 0.5)])
def test_copies_are_found_however_coded(synthetic, quality, scale):
    """Every training video has a re-encoded copy under another name in the test split."""
    index = read_index(synthetic)
    index = index[index["split"] == "train"].head(40).reset_index(drop=True)
    read = faces.make_file_reader(index, synthetic.parent)

    def read_both(row):
        crops, content = read(row % 40)
        return (crops, content) if row < 40 else (degrade(crops, quality, scale), "copy")

    names = [f"copy/{name}" for name in index["video_id"]]
    copy = index.assign(video_id=names, split="test", group=names, origin_id=None, sha256=None)
    copy["identities"] = [[] for _ in names]
    both = make_index([*index.to_dict("records"), *copy.to_dict("records")])
    seen, errors = faces.read_thumbnails(both, read_both)
    assert errors == {}
    matches = find_matches(Evidence(both, compute_properties(both, None), seen, []))
    copies = {match.row for match in matches if match.other_row == match.row + 40}
    assert len(copies) >= 39
    # A fake shares frames with its real, and so with the copy of it; strangers share nothing.
    origin = both["origin_id"][:40].tolist()
    assert all(origin[match.row] == origin[match.other_row - 40] for match in matches)


def test_likeness_ignores_light(synthetic):
    """Descriptors do not depend on brightness and contrast."""
    rng = np.random.default_rng(0)
    patch = cv2.GaussianBlur(rng.uniform(60, 180, (32, 32)).astype(np.float32), (0, 0), 1.5)
    patch = (patch - patch.mean()) * 3 + 120
    pictures = np.stack([patch, 0.5 * patch + 70, patch[:, ::-1]]).round().astype(np.uint8)
    seen = faces.Faces(np.array([0]), pictures[None], np.zeros((1, 3)), np.zeros(1), [""])
    vectors, usable = describe_faces(seen, np.array([0]))
    assert usable.tolist() == [0, 1, 2]
    products = vectors @ vectors.T
    assert products[0, 1] > 0.99 and products[0, 2] < SAME
    flat = seen._replace(patches=np.full((1, 3, 32, 32), 7, np.uint8))
    assert len(describe_faces(flat, np.array([0]))[1]) == 0


@pytest.fixture
def videos(tmp_path, make_video):
    """Returns an index of four videos that was never probed."""
    rows = []
    for i, split in enumerate(("train", "train", "test", "test")):
        make_video(tmp_path / f"{i}.mp4", n_frames=10 + i)
        fields = {"label": i % 2, "method": "m" if i % 2 else None, "split": split}
        rows.append(
            make_record(video_id=str(i), dataset="d", root=str(tmp_path), path=f"{i}.mp4", **fields)
        )
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    return tmp_path


def test_files_that_were_never_probed_are_opened(videos):
    data = (videos / "3.mp4").read_bytes()
    (videos / "3.mp4").write_bytes(data[: len(data) // 3])
    (videos / "2.mp4").write_text("not a video")
    (videos / "1.mp4").unlink()
    (videos / "0.mp4").rename(videos / "moved.mp4")
    (videos / "moved.mp4").rename(videos / "0.mp4")
    found = codes(audit(videos, workers=1))
    assert found["missing_file"]["ids"] == ["1"]
    broken = found["unreadable_file"]["ids"] + found.get("truncated_file", {"ids": []})["ids"]
    assert sorted(broken) == ["2", "3"]


def test_probing_fills_what_the_index_lacks(videos):
    evidence = audit(videos, workers=1).evidence
    assert evidence.properties["length"].tolist() == [10, 11, 12, 13]
    assert evidence.index["codec"].tolist() == ["h264"] * 4
    assert evidence.index["sha256"].nunique() == 4


def test_files_that_changed_since(videos):
    index = audit(videos, workers=1).evidence.index
    write_index(index, videos / "index.parquet", command="test")
    assert "truncated_file" not in codes(audit(videos, workers=1))
    data = (videos / "0.mp4").read_bytes()
    (videos / "0.mp4").write_bytes(data[:-100])
    (videos / "1.mp4").write_bytes((videos / "2.mp4").read_bytes() + b"\0")
    found = codes(audit(videos, workers=1))
    assert found["truncated_file"]["ids"] == ["0"]
    assert found["changed_file"]["ids"] == ["1"]


def test_what_indexing_left_out_is_repeated(videos):
    line = '{"video_id": "d/x", "path": "x.mp4", "stage": "probe", "error": "empty file"}\n'
    half = '{"video_id": "d/y", "pa'  # of a process that was killed
    (videos / "errors.jsonl").write_text(line + half)
    assert codes(audit(videos, workers=1))["left_out"]["ids"] == ["d/x"]


def test_crops_that_are_gone_or_cut(tmp_path):
    rows = []
    for i in range(3):
        folder = tmp_path / "crops" / str(i)
        folder.mkdir(parents=True)
        image = np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)
        for k in range(2):
            cv2.imwrite(str(folder / f"{k:06d}.jpg"), image)
        rows.append(
            make_record(
                video_id=str(i), dataset="d", label=i % 2, method="m" if i % 2 else None,
                frames_dir=f"crops/{i}", frame_indices=[0, 1],
            )
        )  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    assert not {"missing_file", "truncated_file"} & set(codes(audit(tmp_path)))
    (tmp_path / "crops/0/000001.jpg").unlink()
    cut = tmp_path / "crops/1/000000.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    found = codes(audit(tmp_path))
    assert found["missing_file"]["ids"] == ["0"]
    assert found["truncated_file"]["ids"] == ["1"]


def test_no_index(tmp_path):
    with pytest.raises(UsageError, match="no index"):
        audit(tmp_path)
    write_index(make_index([]), tmp_path / "index.parquet", command="test")
    with pytest.raises(UsageError, match="no videos"):
        audit(tmp_path)
