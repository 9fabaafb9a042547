"""A video scores the same through `extract -> pack -> evaluate` and through `predict`."""

import dataclasses
import json
import shutil

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.data.faces.extract import extract_record
from dfjax.data.faces.recipe import make_metadata, read_crop_recipe, write_crop_recipe
from dfjax.data.faces.settings import ExtractionSettings
from dfjax.data.faces.worker_pool import Outcome
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.store.flow_index import write_flow
from dfjax.data.store.pack import pack
from dfjax.experiment import builders, run_data
from dfjax.experiment import workdir as workdirs
from dfjax.inference import score_inputs
from dfjax.inference.detector import load
from dfjax.inference.evaluate import evaluate
from dfjax.inference.predict import predict
from dfjax.training.checkpoint import Checkpoints

SIZE = 32


class Texture(nn.Module):
    """A classifier whose logit depends on every pixel of a crop, and on its flow."""

    reads_flow: bool = False

    @staticmethod
    def input_extras(options):
        return ("flow",) if options["reads_flow"] else ()

    @nn.compact
    def __call__(self, inputs, *, train):
        mask = inputs["mask"].astype(jnp.float32)
        steps = jnp.abs(jnp.diff(inputs["rgb"], axis=3)).mean((2, 3, 4))  # of each frame
        value = jnp.log((steps * mask).sum(1) / mask.sum(1)) + 1.5
        if self.reads_flow:
            value += jnp.abs(inputs["flow"]).mean((1, 2, 3, 4))
        return self.param("scale", lambda key: jnp.float32(2.0)) * value


def make_workdir(folder, data, *, flow=False, stride=2):
    """Writes a workdir like that of training on `data`, with random parameters."""
    config = load_config(
        "resnet18:smoke",
        {
            "data.path": str(data), "data.frames": 4, "data.stride": stride,
            "data.sampling": "stride", "data.eval_clips": 0, "data.flow": flow,
            "preprocess.size": SIZE, "data.crop_size": 0,
        },
    )  # fmt: skip
    config = builders.use_model(config, Texture(reads_flow=flow)).copy_and_resolve_references()
    run_data.record_crops(config, run_data.open_data(config, folder))
    model = builders.make_model(config)
    inputs = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), builders.example_inputs(config))
    variables = model.init(jax.random.key(0), inputs)
    workdirs.prepare_workdir(folder, config)
    checkpoints = Checkpoints(folder)
    checkpoints.save("best", 1, {"variables": variables, "training": {"step": jnp.zeros(())}}, {})
    checkpoints.close()
    return folder


@pytest.fixture
def in_this_process(monkeypatch):
    """Makes `predict` read files in this process, which alone has the face detector `bright`."""

    def run_tasks(function, tasks, **limits):
        for position, task in enumerate(tasks):
            yield Outcome(position, function(task), None)

    monkeypatch.setattr(score_inputs, "run_tasks", run_tasks)


@pytest.fixture
def videos(tmp_path):
    """Videos of textured patches that move on a dark background and are absent in two frames."""
    rng = np.random.default_rng(0)
    paths = []
    for name, cells in (("a", 24), ("b", 4), ("c", 8)):
        patch = rng.integers(160, 256, (cells, cells, 3), dtype=np.uint8)
        patch = patch.repeat(24 // cells, 0).repeat(24 // cells, 1)
        path = tmp_path / f"{name}.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
        for number in range(27):
            frame = np.full((64, 96, 3), 20, np.uint8)
            if number not in (6, 14):
                y, x = 20 + number % 3, 8 + 2 * number + 2 * (number % 2)
                frame[y : y + 24, x : x + 24] = patch
            writer.write(frame)
        writer.release()
        paths.append(path)
    return paths


def extract(videos, settings, flow):
    """Returns a pack of the videos, alternately real and fake; the last one is for training."""
    out, rows = videos[0].parent / "crops", []
    for number, path in enumerate(videos):
        task = {"video_id": f"d/{path.stem}", "root": str(path.parent), "path": path.name,
                "sha256": None}  # fmt: skip
        (fields,) = extract_record(str(out), settings, task)
        row = make_record(
            video_id=task["video_id"], dataset="d", label=number % 2,
            method="x" if number % 2 else "real",
            split="train" if path is videos[-1] else "test",
        )  # fmt: skip
        rows.append(row | fields)
    index = out / "index.parquet"
    metadata = make_metadata(settings.to_recipe())
    write_index(make_index(rows), index, command="test", metadata=metadata)
    if flow:
        write_flow(index, out.parent / "flow", stride=2, workers=1)
        index = out.parent / "flow" / "index.parquet"
    pack(index, out.parent / "pack")
    return out.parent / "pack"


def mean_probs(report):
    return report.predictions.groupby("video_id")["fake_prob"].mean().tolist()


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.usefixtures("in_this_process")
def test_both_ways_give_the_same_score(videos, bright, flow, tmp_path, capsys):
    settings = ExtractionSettings(detector=bright, frames=None, every=2, size=SIZE, margin=1.6)
    workdir = make_workdir(tmp_path / "run", extract(videos, settings, flow), flow=flow)
    stored = mean_probs(evaluate(workdir))
    verdicts = predict(workdir, videos[:2])
    assert "note: " not in capsys.readouterr().err
    probs = [verdict.fake_prob for verdict in verdicts]
    np.testing.assert_allclose(probs, stored, rtol=0, atol=1e-3)
    assert abs(probs[0] - probs[1]) > 0.01 and all(0.001 < prob < 0.999 for prob in probs)
    margin = 1.2 if flow else 1.1  # a note is printed once
    other = predict(workdir, videos[:2], margin=margin)
    assert np.abs(np.array([v.fake_prob for v in other]) - stored).max() > 0.01
    assert f"note: margin is {margin}" in " ".join(capsys.readouterr().err.split())


def test_crops_made_otherwise_than_those_of_training_are_flagged(videos, bright, tmp_path):
    data = extract(
        videos, ExtractionSettings(detector=bright, frames=None, every=2, size=SIZE), False
    )
    detector = load(make_workdir(tmp_path / "run", data))
    assert not find_flags(evaluate(detector))
    other = tmp_path / "other"
    shutil.copytree(data, other)
    recipe = dataclasses.replace(read_crop_recipe(data), margin=1.7, frames=8, every=None)
    write_crop_recipe(other, recipe)
    (flag,) = find_flags(evaluate(detector, index=other, out=tmp_path / "out"))
    assert flag["severity"] == "warning" and "(margin: 1.7 and 1.3)" in flag["message"]
    write_crop_recipe(data, recipe)  # the data of the run have changed since
    assert find_flags(evaluate(detector))
    assert detector.config.crops.margin == 1.3  # which prediction follows


def find_flags(report):
    return [flag for flag in report.flags if flag["code"] == "crops_differ"]


@pytest.mark.slow
@pytest.mark.samples
def test_a_real_video_scores_the_same_both_ways(samples, tmp_path, capsys):
    """Through the command line, with the Haar cascade, smoothing over frames, and worker pools."""
    paths = [
        samples / "ffpp/original_sequences/youtube/c23/videos/004.mp4",
        samples / "ffpp/manipulated_sequences/NeuralTextures/c23/videos/004_982.mp4",
        tmp_path / "training.png",  # a detector was trained on something
    ]
    cv2.imwrite(str(paths[2]), np.zeros((64, 64, 3), np.uint8))
    rows = [
        make_record(
            video_id=f"ffpp/{path.stem}", dataset="ffpp", label=number % 2, root=str(path.parent),
            path=path.name, method="x" if number % 2 else "real",
            split="train" if number == 2 else "test",
        )
        for number, path in enumerate(paths)
    ]  # fmt: skip
    index, crops, packed = (tmp_path / name for name in ("index.parquet", "crops", "pack"))
    write_index(make_index(rows), index, command="test")
    for command in (
        ["data", "extract", "--index", index, "--out", crops, "--every", 12, "--size", SIZE,
         "--margin", 1.5, "--workers", 2],
        ["data", "pack", "--index", crops / "index.parquet", "--out", packed],
    ):  # fmt: skip
        assert main(list(map(str, command))) == 0, capsys.readouterr().err
    workdir = make_workdir(tmp_path / "run", packed, stride=12)
    stored = mean_probs(evaluate(workdir))
    capsys.readouterr()
    assert main(["predict", "--workdir", str(workdir), *map(str, paths[:2]), "--json"]) == 0
    captured = capsys.readouterr()
    assert "note: " not in captured.err
    results = json.loads(captured.out.splitlines()[-1])["results"]
    probs = [result["fake_prob"] for result in results]
    np.testing.assert_allclose(probs, stored, rtol=0, atol=1e-3)
