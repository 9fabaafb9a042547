"""`dfjax evaluate --robustness`."""

import json

import numpy as np
import pandas as pd
import pytest
from test_calibrate import EACH, crops, make_detector  # noqa: F401  # a fixture

import dfjax
from dfjax.errors import UsageError
from dfjax.inference.robustness import Study, evaluate_robustness


@pytest.mark.slow  # it draws the figures of an evaluation
def test_curves_are_written_and_finished_ones_kept(crops, tmp_path, monkeypatch):  # noqa: F811
    detector, index = make_detector(tmp_path / "run"), crops / "index.parquet"
    chosen = ("contrast", "noise", "frame_drop")
    report = evaluate_robustness(detector, corruptions=chosen, index=index, out=tmp_path / "out")
    assert set(report.curves) == {"contrast", "noise"} and set(report.left_out) == {"frame_drop"}
    assert {p.name for p in (tmp_path / "out" / "robustness").iterdir()} == {
        "contrast.json",
        "noise.json",
    }
    table = pd.read_csv(tmp_path / "out" / "robustness.csv")
    assert len(table) == 2 * 6 and (table["corruption"] == "noise").sum() == 6
    assert (tmp_path / "out" / "robustness.png").stat().st_size > 10_000
    curve = report.curves["contrast"]
    assert curve["videos"] == 2 * EACH and len(curve["video_auc"]) == 6
    # The mean brightness is all that it reads, and a change of contrast keeps it.
    np.testing.assert_allclose(curve["video_auc"], curve["video_auc"][0], atol=0.02)
    alone = dfjax.evaluate(detector, index=index, calibrated=False, out=tmp_path / "alone")
    assert curve["video_auc"][0] == pytest.approx(alone.metrics["overall"]["video_auc"])

    def fail(self, name, values):
        raise AssertionError(name)

    monkeypatch.setattr(Study, "score", fail)
    again = evaluate_robustness(detector, corruptions=chosen, index=index, out=tmp_path / "out")
    assert json.dumps(again.to_json()) == json.dumps(report.to_json())
    other = make_detector(tmp_path / "run", "1" * 64)
    with pytest.raises(AssertionError, match="none"):
        evaluate_robustness(other, corruptions=chosen, index=index, out=tmp_path / "out")
    monkeypatch.undo()
    detector.config.data.holdout_methods = ("m",)
    held = evaluate_robustness(detector, corruptions=["noise"], index=index, out=tmp_path / "out")
    assert held.curves["noise"]["videos"] == EACH, "fakes that training left out are left out"


def test_wrong_usage(crops, tmp_path):  # noqa: F811
    detector = make_detector(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'jpeg'"):
        evaluate_robustness(detector, corruptions=["jpg"], index=crops / "index.parquet")
    with pytest.raises(UsageError, match="frame_drop: clips of one frame have none to drop"):
        evaluate_robustness(
            detector,
            corruptions=["frame_drop"],
            index=crops / "index.parquet",
            out=tmp_path / "none",
        )
    assert not (tmp_path / "none").exists()
    with pytest.raises(UsageError, match="no video in split 'train'"):
        evaluate_robustness(detector, split="train", index=crops / "index.parquet")
