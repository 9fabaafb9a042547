"""`dfjax evaluate` flags videos that `dfjax predict` would not score, for want of faces."""

import cv2
import numpy as np
import pytest

import dfjax
from dfjax.config import load_config
from dfjax.data.faces.recipe import CropRecipe, make_metadata
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.evaluation.report.reproduction import reproduce
from dfjax.inference.detector import Detector

SIZE, FRAMES = 8, 4
FACES = {"a": (1, 1, 1, 1), "b": (1, 0, 1, 0), "c": (0, 0, 1, 0), "d": (0, 0, 0, 0)}


def make_detector(workdir):
    config = load_config("dual_stream")
    config.preprocess.size = SIZE
    config.data.update({"frames": FRAMES, "stride": 1, "crop_size": SIZE, "eval_clips": 1})

    def apply(variables, inputs, *, train, rngs):
        return inputs["hq"].mean((1, 2, 3, 4)) * variables["weight"], {}, {}

    def preprocess(batch, rng, *, train):
        return {"hq": batch["clip"].astype(np.float32)}

    return Detector(
        config, {"weight": np.float32(0.01)}, "best/1", "0" * 64, workdir, apply, preprocess
    )


def write_crops(folder, detector):
    """Writes the crops of one video for each of `FACES`, and their index."""
    rows = []
    for number, (name, found) in enumerate(FACES.items()):
        (folder / name).mkdir()
        for frame in range(FRAMES):
            image = np.full((SIZE, SIZE, 3), 50 * number, np.uint8)
            cv2.imwrite(str(folder / name / f"{frame:06d}.jpg"), image)
        rows.append(
            make_record(
                video_id=f"set/{name}", dataset="set", label=number % 2, method="m" * (number % 2),
                split="test", frames_dir=name, frame_indices=list(range(FRAMES)),
                face_found=[bool(f) for f in found],
            )
        )  # fmt: skip
    metadata = make_metadata(CropRecipe(detector=detector, size=SIZE))
    write_index(make_index(rows), folder / "index.parquet", command="test", metadata=metadata)
    return folder / "index.parquet"


@pytest.mark.slow  # it draws the figures of an evaluation twice
@pytest.mark.parametrize("detector", ["haar", "none"])
def test_videos_with_too_few_faces_are_flagged(tmp_path, detector):
    index = write_crops(tmp_path, detector)
    report = dfjax.evaluate(make_detector(tmp_path), index=index, out=tmp_path / "out")
    assert reproduce(tmp_path / "out").differences == []
    found = {flag["code"]: flag for flag in report.flags}.get("few_faces")
    if detector == "none":  # no face was searched for
        assert found is None and "face_share" not in report.predictions
        return
    assert found["severity"] == "warning" and found["ids"] == ["set/c", "set/d"]
    assert found["message"].startswith("in 2 of 4 videos a face was detected in less than the ")
    assert "share 0.5 of the frames (eval.min_face_share)" in found["message"]
    shares = report.predictions.set_index("video_id")["face_share"]
    assert shares.to_dict() == {"set/a": 1.0, "set/b": 0.5, "set/c": 0.25, "set/d": 0.0}
