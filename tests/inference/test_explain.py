"""Grad-CAM of a detector whose evidence is known: the grid that `upsample` leaves in the face."""

import dataclasses
import json

import av
import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.data.synthetic.plan import make_plan
from dfjax.data.synthetic.render import Canvas, render
from dfjax.errors import RunError, UsageError
from dfjax.inference import explain as explains
from dfjax.inference.detector import Detector
from dfjax.inference.explain import compute_areas, explain
from dfjax.inference.explanation import Explainer
from dfjax.inference.predict import predict
from dfjax.models.saliency import compute_grad_cam, find_layers

SIZE, FRAMES = 64, 3


class GridFinder(nn.Module):
    """Squares the output of a filter, and averages it in cells."""

    @nn.compact
    def __call__(self, inputs, *, train):
        frames = inputs["rgb"].mean(-1, keepdims=True)
        b, t = frames.shape[:2]
        x = nn.Conv(2, (5, 5), use_bias=False)(frames.reshape(b * t, *frames.shape[2:]))
        cells = nn.avg_pool(x**2, (4, 4), (4, 4))
        cells = nn.Conv(1, (1, 1))(cells)
        mask = inputs["mask"]
        logits = cells.mean((1, 2, 3)).reshape(b, t)
        return (logits * mask).sum(1) / mask.sum(1), {
            "frame_attention": mask / mask.sum(1)[:, None]
        }


def make_variables(seed=None):
    """The filter of a grid of 4 pixels; with a seed, random filters."""
    if seed is None:
        waves = np.cos(np.pi * np.arange(-2, 3) / 2)
        kernel = np.stack([np.outer(waves, [1] * 5), np.outer([1] * 5, waves)], -1)[:, :, None]
        kernel = kernel - kernel.mean((0, 1))
        last = np.ones((1, 1, 2, 1))
    else:
        rng = np.random.default_rng(seed)
        kernel, last = rng.normal(size=(5, 5, 1, 2)), rng.normal(size=(1, 1, 2, 1))
    params = {"Conv_0": {"kernel": kernel}, "Conv_1": {"kernel": last, "bias": np.array([-0.02])}}
    return {"params": jax.tree.map(jnp.float32, params), "batch_stats": {}}


def make_detector(folder, seed=None):
    config = load_config("dual_stream")
    config.data.update({"frames": FRAMES, "stride": 1, "crop_size": SIZE})
    config.eval.batch_size = 8

    def apply(variables, inputs, *, train, rngs):
        return *GridFinder().apply(variables, inputs, train=train), {}

    def preprocess(batch, rng, *, train):
        return {"rgb": batch["clip"].astype(jnp.float32) / 255, "mask": batch["mask"]}

    return Detector(
        config=config, variables=make_variables(seed), checkpoint="best/1",
        checkpoint_sha256="e" * 64, workdir=folder, apply=apply, preprocess=preprocess,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fakes():
    """Clips of `upsample`, and where they were changed: the difference from the real frames."""
    found = []
    for plan in [p for p in make_plan(80, 20, 0) if p.method == "upsample"][:4]:
        real = dataclasses.replace(plan, method="real")
        clips = []
        for one in (plan, real):
            shots, _ = render(one, 0, frames=FRAMES, canvas=Canvas((SIZE, SIZE), SIZE))
            clips.append(np.stack(list(shots)))
        change = np.abs(clips[0].astype(float) - clips[1]).mean(-1)
        found.append((clips[0], cv2.blur(change.mean(0), (5, 5)) > 4))
    return found


MASK, POSITION = np.ones(FRAMES, bool), np.arange(FRAMES, dtype=np.int32)


def test_random_weights_change_the_map(fakes, tmp_path):
    explainers = [Explainer(make_detector(tmp_path, seed)) for seed in (None, 1)]
    found = [
        [one.explain(clip, MASK, POSITION).combined.ravel() for clip, _ in fakes]
        for one in explainers
    ]
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*found)]) < 0.5


def test_what_is_hot_matters(fakes, tmp_path):
    explainer = Explainer(make_detector(tmp_path))
    areas = compute_areas([explainer.explain(clip, MASK, POSITION) for clip, _ in fakes])
    assert areas["deletion"] < areas["random_deletion"]
    assert areas["insertion"] > areas["random_insertion"]


def test_effects_and_attention_are_those_of_the_frames(fakes, tmp_path):
    clip, _ = fakes[0]
    clip = clip.copy()
    clip[1] = 128  # nothing to find
    found = Explainer(make_detector(tmp_path)).explain(clip, MASK, POSITION)
    assert found.effects.argmin() == 1 and found.effects[1] < 0
    np.testing.assert_allclose(found.attention, 1 / 3, atol=1e-6)
    padded = Explainer(make_detector(tmp_path)).explain(clip, POSITION == 0, POSITION)
    assert padded.effects[1:].tolist() == [0, 0] and padded.effects[0] != 0


def test_grad_cam_by_hand():
    maps = jnp.array([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # [1, 2, 1, 2]
    gradient = jnp.array([[[[2.0, 0.0]], [[0.0, 4.0]]]])  # means 1 and 2
    assert compute_grad_cam(maps, gradient)[0, :, 0].tolist() == [5.0, 1.0]


def test_a_model_without_maps_cannot_be_explained():
    def apply(variables, inputs, *, train, rngs):
        return inputs["features"].mean((1, 2)), {}, {}

    inputs = {"features": jnp.ones((1, 2, 4)), "mask": jnp.ones((1, 2), bool)}
    with pytest.raises(UsageError, match="no feature maps"):
        find_layers(apply, {}, inputs)


def test_the_verb_writes_a_sheet_a_film_and_numbers(fakes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(explains, "load", lambda *args, **options: make_detector(tmp_path))
    video = tmp_path / "<b>clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (SIZE, SIZE))
    for frame in np.concatenate([fakes[0][0]] * 2):
        writer.write(frame[..., ::-1])
    writer.release()
    out = tmp_path / "out"
    command = ["explain", "--workdir", "w", str(video), "--out", str(out), "--detector", "none"]
    for _ in range(2):  # a second call replaces the files of the first
        assert main([*command, "--clips", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads((out / "explanation.json").read_text())
    assert [len(printed["clips"]), len(printed["deciding_frames"])] == [2, 6]
    assert {frame["number"] for frame in printed["deciding_frames"]} == set(range(6))
    assert min(Image.open(out / "explanation.png").size) > 500
    with av.open(str(out / "explanation.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 6


def test_an_input_that_cannot_be_read_is_named(tmp_path):
    text = tmp_path / "clip.mp4"
    text.write_text("no video")
    with pytest.raises(RunError, match=r"clip\.mp4"):
        explain(make_detector(tmp_path), text, out=tmp_path / "out", face_detector="none")


def test_predict_writes_a_page_with_limits_and_heat_maps(fakes, tmp_path, capsys):
    video = tmp_path / "<script>alert(1)<script>.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (SIZE, SIZE))
    for frame in np.concatenate([fakes[0][0]] * 2):
        writer.write(frame[..., ::-1])
    writer.release()
    options = {"out": tmp_path / "out", "html": True, "face_detector": "none", "workers": 1}
    for _ in range(2):
        (verdict,) = predict(make_detector(tmp_path), video, **options)
    (page,) = (tmp_path / "out").glob("*.html")
    text = page.read_text()
    assert "<script" not in text and f"{verdict.fake_prob:.4f}" in text
    assert "is no proof" in text and "not calibrated" in text and "Grad-CAM" in text
    assert text.count("data:image/jpeg") >= 8
    with pytest.raises(UsageError, match="html needs out"):
        predict(make_detector(tmp_path), video, html=True)
