"""`dfjax drift` on tables, indexes, calibrations and folders."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import UsageError
from dfjax.inference.drift import compare_inputs


def write_scores(path, shift, n=200):
    rng = np.random.default_rng(n)
    scores = 1 / (1 + np.exp(-rng.normal(shift, 1, n)))
    table = {"video_id": [f"v{k}" for k in range(n)], "label": 0, "fake_prob": scores}
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def write_sizes(path, side, n=60):
    rows = [
        make_record(
            video_id=f"d/{k}", dataset="d", label=0, split="test", width=side + k, height=side,
            n_frames=10, bytes=50_000, boxes=[[0.0, 0.0, side / 4, side / 4]], face_found=[True],
            frame_indices=[0], quality=[100.0 + k],
        )
        for k in range(n)
    ]  # fmt: skip
    write_index(make_index(rows), path, command="test")
    return path


def test_scores_of_two_tables(tmp_path, capsys):
    a = write_scores(tmp_path / "a.csv", 0, 200)
    b = write_scores(tmp_path / "b.csv", 0, 150)
    c = write_scores(tmp_path / "c.csv", 2, 100)
    assert main(["drift", str(a), str(b), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not found["drift"] and set(found["properties"]) == {"fake_prob"}
    assert main(["drift", str(a), str(c)]) == 1
    printed = capsys.readouterr()
    assert "drift of fake_prob" in printed.out and "only drifts are seen" in printed.err


def test_sizes_and_compression_of_two_indexes(tmp_path):
    a, b = (write_sizes(tmp_path / f"{side}.parquet", side) for side in (200, 640))
    report = compare_inputs(a, b)
    drifted = {name for name, one in report.found.items() if one.drifted}
    assert drifted == {"frame_size", "face_size", "bits_per_pixel"}
    assert report.found["sharpness"].psi == 0 and report.has_findings
    assert report.found["face_size"].median == (50.0, 160.0)
    assert compare_inputs(a, a).found["frame_size"].ks == 0


def test_an_index_and_a_folder_of_pictures(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    for k in range(12):
        cv2.imwrite(str(folder / f"{k}.png"), np.zeros((64, 64, 3), np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG")
    report = compare_inputs(write_sizes(tmp_path / "i.parquet", 640), folder, workers=1)
    assert report.found["frame_size"].drifted and report.found["frame_size"].n == (60, 12)
    assert set(report.found) == {"frame_size", "bits_per_pixel"}
    assert len(report.list_errors()) == 1 and "broken.png" in report.list_errors()[0]


def test_nothing_to_compare_and_wrong_splits(tmp_path):
    scores, sizes = write_scores(tmp_path / "a.csv", 0), write_sizes(tmp_path / "i.parquet", 64)
    with pytest.raises(UsageError, match="there is nothing to compare"):
        compare_inputs(scores, sizes)
    with pytest.raises(UsageError, match="no video of split 'val'"):
        compare_inputs(sizes, sizes, split="val")
