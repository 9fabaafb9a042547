"""Tests that files marked as restored by a model are recognised by index, audit and predict."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo

from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces.marks import (
    is_restored,
    make_comment,
    make_mark,
    read_sidecar,
    sidecar_path,
    write_sidecar,
)
from dfjax.data.faces.settings import ExtractionSettings
from dfjax.data.index.audit import audit
from dfjax.data.index.build import build_index
from dfjax.data.index.records import read_index
from dfjax.inference.media import PredictionSettings, prepare_input
from dfjax.inference.verdict import make_verdict

MARK = make_mark(Path("/a/ö.mp4"), "a" * 64, "best/3", "b" * 64, {"overlap": 4})


def write_png(path, *, comment=None, value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = PngInfo()
    if comment:
        texts.add_text("Comment", comment)
    PIL.Image.fromarray(np.full((40, 40, 3), value, np.uint8)).save(path, pnginfo=texts)
    return path


@pytest.fixture
def folder(tmp_path):
    """A restored fake by its metadata, one by its sidecar, and a real picture without marks."""
    write_png(tmp_path / "fake" / "text.png", comment=make_comment(MARK), value=10)
    write_png(tmp_path / "fake" / "beside.png", value=200)
    write_sidecar(tmp_path / "fake" / "beside.png", MARK | {"output_sha256": "c" * 64})
    write_png(tmp_path / "real" / "plain.png", comment="a holiday")
    return tmp_path


def test_metadata_or_a_sidecar_mark_a_file(folder):
    marked = {path.name for path in folder.rglob("*.png") if is_restored(path)}
    assert marked == {"text.png", "beside.png"}
    assert read_sidecar(folder / "fake" / "beside.png")["input"] == "/a/ö.mp4"
    sidecar_path(folder / "real" / "plain.png").write_text('{"statement": "damaged')
    assert not is_restored(folder / "real" / "plain.png")
    (folder / "broken.mp4").write_bytes(b"\0" * 99)
    assert not is_restored(folder / "broken.mp4") and not is_restored(folder / "none.png")


@pytest.mark.parametrize("probe", [True, False])
def test_index_and_audit_name_restored_files(folder, probe):
    report = build_index("folder", folder, folder / "index.parquet", probe=probe, workers=1)
    assert any("2 videos are marked as restored" in note for note in report.notes) is probe
    index = read_index(folder / "index.parquet")
    if probe:
        assert sorted(index.loc[index["restored"].eq(True), "path"]) == [
            "fake/beside.png",
            "fake/text.png",
        ]
    else:
        assert "restored" not in index
    findings = {f["code"]: f for f in audit(folder / "index.parquet", workers=1).findings}
    assert len(findings["restored_file"]["ids"]) == 2
    assert findings["restored_file"]["severity"] == "warning"


def test_an_index_without_restored_files_has_no_column(folder):
    for path in (folder / "fake").iterdir():
        path.unlink()
    write_png(folder / "fake" / "plain.png", value=10)
    build_index("folder", folder, folder / "i.parquet", workers=1)
    assert "restored" not in read_index(folder / "i.parquet")


def test_a_verdict_says_that_its_input_was_restored(folder):
    cutting = ExtractionSettings(detector="none", frames=1, size=16)
    settings = PredictionSettings(Sampling(frames=1, kind="stride", stride=1), 1, 0, cutting)
    for path in (folder / "fake" / "text.png", folder / "real" / "plain.png"):
        prepared = prepare_input(settings, str(path))
        verdict = make_verdict(str(path), prepared, {"fake_prob": np.array([0.75])})
        marked = path.parent.name == "fake"
        assert verdict.restored is marked and verdict.to_dict()["restored"] is marked
        assert verdict.to_line().endswith("; marked as restored by a model)") is marked
