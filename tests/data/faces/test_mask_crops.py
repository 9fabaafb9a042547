"""Masks of a data set are cropped like its frames; missing and damaged ones are told."""

import dataclasses
import types

import cv2
import numpy as np
import pytest

from dfjax.data.faces import manipulation_mask
from dfjax.data.faces.crops import Cutting, FaceCrops
from dfjax.data.faces.extract_index import extract_index
from dfjax.data.faces.mask_crops import crop_masks
from dfjax.data.faces.settings import ExtractionSettings
from dfjax.data.index.audit import audit
from dfjax.data.index.error_log import read_errors
from dfjax.data.index.records import make_index, make_record, read_index, write_index

SETTINGS = ExtractionSettings(detector="none", frames=5, size=16, masks=True)


def write_mask(path, n_frames, size=(64, 48)):
    """Writes a mask video that is white in its left half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, : size[0] // 2] = 255
    for _ in range(n_frames):
        writer.write(image)
    writer.release()


@pytest.fixture
def index(tmp_path, make_video):
    root = tmp_path / "set"
    root.mkdir()
    rows = []
    for name in ("whole", "short", "broken", "bare", "real"):
        make_video(root / f"{name}.mp4", n_frames=9)
        mask = None if name in ("bare", "real") else f"masks/{name}.mp4"
        rows.append(
            make_record(
                video_id=f"d/{name}", dataset="d", label=int(name != "real"), method="swap",
                root=str(root), path=f"{name}.mp4", mask_path=mask,
            )
        )  # fmt: skip
    write_mask(root / "masks/whole.mp4", 9)
    write_mask(root / "masks/short.mp4", 4, size=(32, 24))  # shorter and smaller than its video
    (root / "masks/broken.mp4").write_bytes(b"no video")
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    return tmp_path / "index.parquet"


def extract(index, out, settings=SETTINGS):
    return extract_index(index, out, settings, workers=1)


def test_masks_are_cut_like_the_frames(index, tmp_path):
    report = extract(index, tmp_path / "out")
    rows = read_index(report.index).set_index("video_id")
    numbers = rows["mask_indices"].to_dict()
    assert numbers["d/whole"] == [0, 2, 4, 6, 8] and numbers["d/short"] == [0, 2]
    assert rows["mask_dir"].dropna().to_dict() == {
        "d/whole": "masks/d/whole", "d/short": "masks/d/short",
    }  # fmt: skip
    for name in ("whole", "short"):  # the crop is the square in the middle of 64 x 48
        mask = cv2.imread(str(tmp_path / f"out/masks/d/{name}/000002.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (16, 16) and mask.dtype == np.uint8
        assert mask[:, :6].min() > 240 and mask[:, 10:].max() < 15


def test_masks_that_cannot_be_read_are_listed_and_fakes_without_counted(index, tmp_path):
    out = tmp_path / "out"
    report = extract(index, out)
    assert (report.videos, report.unreadable, report.unreadable_masks) == (5, 0, 1)
    assert report.has_findings
    assert f"1 masks could not be read: {out / 'errors.jsonl'}" in report.describe()
    (entry,) = read_errors(out)
    assert entry["video_id"] == "d/broken" and entry["stage"] == "mask"
    assert "its mask broken.mp4 cannot be read" in entry["error"]
    assert report.notes == ["2 of 4 fakes have masks; without: d/broken, d/bare"]
    assert all(finding["code"] != "left_out" for finding in audit(out).findings), "it is there"
    write_mask(index.parent / "set/masks/broken.mp4", 9)
    again = extract(index, out)  # only that one is extracted again
    assert (again.reused, again.unreadable_masks) == (4, 0)
    assert again.notes == ["3 of 4 fakes have masks; without: d/bare"]
    (out / "masks/d/whole/000004.png").unlink()
    assert extract(index, out).reused == 4 and (out / "masks/d/whole/000004.png").is_file()


def test_other_crops_of_the_same_videos_do_not_have_these_masks(index, tmp_path):
    found = extract(index, tmp_path / "out").index
    again = extract(found, tmp_path / "small", dataclasses.replace(SETTINGS, size=8, masks=False))
    assert not {"mask_dir", "mask_indices"} & set(read_index(again.index))


def test_a_face_that_appears_after_the_end_of_the_mask_has_none(tmp_path):
    write_mask(tmp_path / "mask.mp4", 4)
    boxes = np.array([[0, 0, 32, 32], [32, 0, 64, 32]], np.float32)
    faces = [FaceCrops(None, boxes, np.ones(2, bool), False, first=first) for first in (1, 3)]
    early, late = crop_masks(
        tmp_path / "mask.mp4", [0, 1, 2, 4, 8], faces, Cutting(8, margin=1.0), (48, 64)
    )
    assert early.keys() == {1, 2} and not late
    assert early[1].min() > 240 and early[2].max() < 15


def test_frames_that_cannot_be_decoded_have_no_mask(index, monkeypatch):
    path = index.parent / "set/masks/short.mp4"
    monkeypatch.setattr(manipulation_mask, "probe", lambda _: types.SimpleNamespace(n_frames=9))
    boxes = np.tile(np.array([0, 0, 48, 48], np.float32), (3, 1))
    face = FaceCrops(None, boxes, np.ones(3, bool), False)
    (found,) = crop_masks(path, [0, 2, 4], [face], Cutting(16, 1.0), (48, 64))
    assert list(found) == [0, 2] and list(manipulation_mask.read_masks(path, [0, 2, 4])) == [0, 2]
