"""Tests the index of a data set from Python: custom adapters, options, and unusable inputs."""

import sys

import cv2
import numpy as np
import pytest

from dfjax import FAKE, REAL
from dfjax.commands.main import main
from dfjax.data.index.adapters import find_adapter
from dfjax.data.index.adapters.listing import Listing
from dfjax.data.index.build import build_index
from dfjax.data.index.records import make_record, read_index
from dfjax.errors import UsageError

MODULE = """
from dfjax.data.index.adapters.listing import Listing
from dfjax.data.index.records import make_record

NOT_A_FUNCTION = 3

def list_mine(root, *, take=None, out=None):
    rows = [
        make_record(video_id=f"mine/{file.stem}", dataset=out.name, label=0,
                    root=str(root.resolve()), path=file.name)
        for file in sorted(root.glob("*.png"))[:take]
    ]
    return Listing(rows, ["mine are all real"], [])
"""


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a", "b", "c"):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((8, 8, 3), 90, np.uint8))
    return folder


def test_an_adapter_of_ones_own_is_a_function_or_its_import_path(root, tmp_path, monkeypatch):
    (tmp_path / "own_adapters_for_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    path, out = "own_adapters_for_test:list_mine", tmp_path / "work/index.parquet"
    report = build_index(path, root, out, take=2, workers=1)
    assert (report.videos, report.methods, report.left_out) == (2, {"real": 2}, 0)
    assert report.notes == ["mine are all real"]
    rows = read_index(out)
    assert rows["n_frames"].tolist() == [1, 1] and set(rows["dataset"]) == {"work"}
    command = ["data", "index", "--adapter", path, "--root", str(root), "--no-probe"]
    assert main([*command, "--out", str(out)]) == 0 and len(read_index(out)) == 3
    function = sys.modules["own_adapters_for_test"].list_mine
    assert find_adapter(function) == find_adapter(path) == (function, ("take", "out"))
    for wrong, message in (
        ("own_adapters_for_test:list_my", "Did you mean 'list_mine'"),
        ("own_adapters_for_test:NOT_A_FUNCTION", "is not a function"),
        ("no_such_module_for_test:f", "cannot import"),
        ("tfds:", "unknown adapter 'tfds:'"),
    ):
        with pytest.raises(UsageError, match=message):
            find_adapter(wrong)
    with pytest.raises(UsageError, match="own_.* has no option seed; its options: take"):
        build_index(path, root, out, seed=3)


def test_what_cannot_be_read_is_counted_with_its_reason(root, tmp_path):
    def list_two(root):
        rows = [
            make_record(video_id=f"d/{name}", dataset="d", label=label, method="m" * label or None,
                        root=str(root), path=f"{name}.png", pair_id="d/a" if label else None)
            for name, label in (("a", REAL), ("b", FAKE))
        ]  # fmt: skip
        return Listing(rows, [], [])

    (root / "a.png").write_bytes(b"")
    report = build_index(list_two, root, tmp_path / "index.parquet", workers=1)
    assert (report.videos, report.unreadable, report.left_out) == (1, 1, 1)
    assert read_index(report.index)["pair_id"].isna().all()  # its real is unreadable
    (root / "b.png").write_text("no image")
    with pytest.raises(UsageError, match=r"none of the 2 files .*1 times: empty file"):
        build_index(list_two, root, tmp_path / "index.parquet", workers=1)
    with pytest.raises(UsageError, match="unknown split 'trian'"):
        build_index(list_two, root, tmp_path / "index.parquet", default_split="trian")


def test_links_that_leave_the_data_set_are_followed_only_when_asked(tmp_path):
    """Links to a file, and to a folder of videos."""
    away = tmp_path / "away"
    (away / "deep").mkdir(parents=True)
    for name in ("secret.png", "deep/d.png"):
        cv2.imwrite(str(away / name), np.full((8, 8, 3), 70, np.uint8))
    real, fake = tmp_path / "data/real", tmp_path / "data/fake"
    for folder in (real, fake):
        folder.mkdir(parents=True)
    cv2.imwrite(str(fake / "f.png"), np.full((8, 8, 3), 90, np.uint8))
    (real / "inside.png").symlink_to(fake / "f.png")
    (real / "outside.png").symlink_to(away / "secret.png")
    (real / "folder").symlink_to(away / "deep")
    out = tmp_path / "work/index.parquet"
    report = build_index("folder", tmp_path / "data", out, workers=1)
    kept = {"real/inside.png", "fake/f.png"}
    assert set(read_index(out)["path"]) == kept and report.problems == {"refused": 2}
    errors = (out.parent / "errors.jsonl").read_text()
    assert errors.count("a symbolic link leads outside of the data set") == 2
    command = ["data", "index", "--adapter", "folder", "--root", str(tmp_path / "data")]
    assert main([*command, "--out", str(out)]) == 1
    assert main([*command, "--out", str(out), "--follow-links"]) == 0
    assert set(read_index(out)["path"]) == kept | {"real/outside.png", "real/folder/d.png"}


def test_a_linked_frame_outside_of_the_data_set_drops_its_video(tmp_path):
    for name in ("data/real/a/0.png", "data/real/b/0.png", "data/fake/c/0.png", "1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 80, np.uint8))
    (tmp_path / "data/real/a/1.png").symlink_to(tmp_path / "1.png")
    out = tmp_path / "index.parquet"
    build_index("frames", tmp_path / "data", out, workers=1)
    assert sorted(read_index(out)["path"]) == ["fake/c", "real/b"]


def test_other_files_are_counted_by_suffix(tmp_path):
    for name in ("real/a.png", "fake/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 90, np.uint8))
    for name in ("real/a.heic", "real/b.HEIC", "fake/c.txt"):
        (tmp_path / name).touch()
    report = build_index("folder", tmp_path, tmp_path / "out/index.parquet", workers=1)
    assert "3 files skipped: heic, txt" in report.notes
