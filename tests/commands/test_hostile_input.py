"""Over 200 hostile files through `predict`, `data index` and `data extract`: each has its line.

None stops the run, and the good files beside them come out exactly as they do alone.
"""

import json
import os
import shutil
from pathlib import Path

import hostile_corpus
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.config import base
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.transforms.preprocess import make_preprocess
from dfjax.inference import predict as predict_run
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import combine

SIZE = 32
LIMIT = ["--workers", "2", "--time-limit", "20"]


pytestmark = pytest.mark.slow  # a minute; tests/hostile holds the same of single files


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "in"
    hostile_corpus.write_corpus(folder)
    alone = folder.parent / "alone"
    alone.mkdir()
    for name in hostile_corpus.GOOD:
        shutil.copy(folder / name, alone / name)
    return folder, alone


def files_of(folder):
    """Every entry that is not a folder, as dfjax spells its path; folders are entered once."""
    return sorted(
        os.path.join(parent, name) for parent, _, files in os.walk(folder) for name in files
    )


def tiny_ensemble():
    """One detector, with a real compiled step: one convolution over the clip."""
    config = base()
    config.data.frames, config.data.stride, config.data.crop_size = 3, 2, SIZE

    def apply(variables, inputs, *, train, rngs):
        clip, mask = inputs["hq"], inputs["mask"].astype(jnp.float32)
        maps = jax.lax.conv_general_dilated(
            clip.reshape(-1, SIZE, SIZE, 3), variables["kernel"], (2, 2), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        per_frame = jnp.tanh(maps).mean((1, 2, 3)).reshape(mask.shape)
        return 30 * (per_frame * mask).sum(1) / mask.sum(1), {}, {}

    preprocess = make_preprocess({"hq": SIZE}, mean=(0.5,) * 3, std=(0.5,) * 3)
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 3, 8))
    detector = Detector(
        config, {"kernel": kernel}, "best/1", "c" * 64, Path("w"), apply, preprocess
    )
    return combine([detector])


def predict(capsys, folder, out):
    code = main(["predict", "--workdir", "w", "--json", "--detector", "none", *LIMIT,
                 "--out", str(out), "--batch-size", "8", str(folder)])  # fmt: skip
    captured = capsys.readouterr()
    return code, json.loads(captured.out.splitlines()[-1])["results"], captured.err


def test_predict_names_every_file_and_scores_the_good_as_alone(
    corpus, tmp_path, capsys, monkeypatch
):
    folder, alone = corpus
    ensemble = tiny_ensemble()
    monkeypatch.setattr(predict_run, "load_ensemble", lambda *arguments, **options: ensemble)
    code, results, errors = predict(capsys, folder, tmp_path / "out")
    assert code == 1
    assert sorted(r["input"] for r in results) == files_of(folder)
    failed = [r for r in results if r["status"] == "error"]
    assert len(results) > 240 and len(failed) > 130
    for result in failed:
        assert result["error"] and "\n" not in result["error"] and result["fake_prob"] is None
        assert Path(result["input"]).name.encode("utf-8", "replace").decode() in errors
        assert "died" not in result["error"], result  # refused by a check, not by a crash
    for result in results:
        assert result["status"] == "error" or 0 < result["fake_prob"] < 1
    logged = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(logged) == len(results)
    code, expected, _ = predict(capsys, alone, tmp_path / "out_alone")
    assert code == 0 and len(expected) == len(hostile_corpus.GOOD)
    scores = {Path(r["input"]).name: r["fake_prob"] for r in results}
    assert {name: scores[name] for name in hostile_corpus.GOOD} == {
        Path(r["input"]).name: r["fake_prob"] for r in expected
    }
    assert np.std([r["fake_prob"] for r in expected]) > 0.01  # scores that could differ
    by_name = {Path(r["input"]).name: r for r in results}
    readable = os.access(folder / "locked.png", os.R_OK)  # by root, for instance
    assert by_name["locked.png"]["status"] == ("ok" if readable else "error")
    for name in ("rotated.mp4", "variable_rate.mp4", "one_pixel.png", "latin_\udce9.png"):
        assert by_name[name]["status"] == "ok", by_name[name]
    for name in ("me.mp4", "pipe.mp4", "only_sound.mp4", "huge_0.png", "no_frames.mp4"):
        assert by_name[name]["status"] == "error", by_name[name]


def write_rows(folder, path):
    """Writes an index of all files whose names are text, not probed: extraction meets them raw."""
    names = [os.path.relpath(p, folder) for p in files_of(folder)]
    names = [name for name in names if name.isascii()]
    rows = [
        make_record(
            video_id=f"set/{name}", dataset="set", label=0, root=str(folder), path=name
        )
        for name in names
    ]  # fmt: skip
    write_index(make_index(rows), path, command="test")
    return {f"set/{name}" for name in names}


def extract(index, out):
    return main(["data", "extract", "--index", str(index), "--out", str(out), "--detector", "none",
                 "--frames", "4", "--size", str(SIZE), *LIMIT])  # fmt: skip


def test_extract_leaves_out_and_names_what_it_cannot_read(corpus, tmp_path, capsys):
    folder, alone = corpus
    ids = write_rows(folder, tmp_path / "all.parquet")
    write_rows(alone, tmp_path / "alone.parquet")
    out, out_alone = tmp_path / "out", tmp_path / "out_alone"
    assert extract(tmp_path / "all.parquet", out) == 1
    kept = set(read_index(out / "index.parquet")["video_id"])
    errors = [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()]
    left_out = [error["video_id"] for error in errors]
    assert sorted([*kept, *left_out]) == sorted(ids)
    assert f"{len(left_out)} videos or images could not be read" in capsys.readouterr().out
    assert all(error["error"] and "died" not in error["error"] for error in errors)
    assert extract(tmp_path / "alone.parquet", out_alone) == 0
    for name in hostile_corpus.GOOD:
        crops = sorted((out_alone / "crops/set" / name).glob("*.jpg"))
        assert crops
        for crop in crops:
            beside = out / "crops/set" / name / crop.name
            assert beside.read_bytes() == crop.read_bytes()


def test_index_lists_and_counts_them(corpus, tmp_path, capsys):
    folder, alone = corpus
    root = tmp_path / "root"
    root.mkdir()
    (root / "real").symlink_to(folder, target_is_directory=True)
    (root / "fake").symlink_to(alone, target_is_directory=True)
    index = tmp_path / "index.parquet"
    code = main(["data", "index", "--adapter", "folder", "--root", str(root), "--out", str(index),
                 "--follow-links", *LIMIT])  # fmt: skip
    assert code == 1
    captured = capsys.readouterr()
    assert "errors.jsonl" in captured.out + captured.err
    paths = set(read_index(index)["path"])
    for name in hostile_corpus.GOOD:
        assert {f"real/{name}", f"fake/{name}"} <= paths
    assert not any("pipe.mp4" in path or "only_sound" in path for path in paths)
