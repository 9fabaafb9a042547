"""Tests calls of a detector with paths, folders, frames and clips, valid and invalid ones."""

import dataclasses
import io

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.special import expit

from dfjax.config import load_config
from dfjax.data.faces.recipe import CropRecipe
from dfjax.errors import InputError
from dfjax.inference.detector import Detector
from dfjax.inference.predict import predict
from dfjax.inference.verdict import Verdict

pytestmark = pytest.mark.usefixtures("compiled_quickly")

T, SIZE = 3, 16
NONE = {"face_detector": "none", "workers": 1}


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """Its logit is the mean brightness of the valid frames, less 100."""
    config = load_config("dual_stream")
    config.data.update({"frames": T, "stride": 2, "crop_size": SIZE, "eval_clips": 2})
    config.eval.batch_size = 4

    def apply(variables, inputs, *, train, rngs):
        means = inputs["clip"].mean((2, 3, 4)) * inputs["mask"]
        return variables["scale"] * (means.sum(1) / inputs["mask"].sum(1) - 100), {}, {}

    def preprocess(batch, rng, *, train):
        return {name: values.astype(jnp.float32) for name, values in batch.items()}

    return Detector(
        config=config,
        variables={"scale": jnp.float32(0.1)},
        checkpoint="best/7",
        checkpoint_sha256="c" * 64,
        workdir=tmp_path_factory.mktemp("workdir"),
        apply=apply,
        preprocess=preprocess,
    )


@pytest.fixture
def folder(tmp_path):
    """A bright image, a dark video, a file that is neither."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 40, 3), 110, np.uint8))
    writer = cv2.VideoWriter(str(tmp_path / "b.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(20):
        writer.write(np.full((48, 64, 3), 80, np.uint8))
    writer.release()
    (tmp_path / "c.mp4").write_text("not a video")
    return tmp_path


def test_a_path_gives_a_verdict(detector, folder):
    verdict = detector(str(folder / "a.png"), **NONE)
    assert isinstance(verdict, Verdict)
    assert (verdict.input, verdict.status, verdict.error) == (str(folder / "a.png"), "ok", None)
    assert verdict.fake_prob == pytest.approx(expit(1.0), abs=0.02)
    assert verdict.verdict == "fake" and verdict.confidence == verdict.fake_prob
    assert verdict.frames_used == 1 and verdict.faces_missed == 0
    assert repr(verdict) == f"Verdict('a.png': fake, P(fake) {verdict.fake_prob:.4f} (1 frames))"


def test_several_paths_and_folders_give_a_list(detector, folder):
    verdicts = detector([folder / "b.avi", str(folder / "gone.mp4"), folder], **NONE)
    names = [verdict.input[len(str(folder)) + 1 :] for verdict in verdicts]
    assert names == ["b.avi", "gone.mp4", "a.png", "c.mp4"]
    film, gone, picture, text = verdicts
    assert film.verdict == "real" and film.confidence == 1 - film.fake_prob
    assert film.clip_scores["fake_prob"].shape == (2,) and film.frames_used == 2 * T
    assert [v.status for v in verdicts] == ["ok", "error", "ok", "error"]
    assert gone.error and "not a video" in text.error and text.fake_prob is None
    assert "not scored: " in repr(text)
    assert isinstance(detector(folder, **NONE), list)


def test_a_path_given_twice_gives_two_verdicts(detector, folder):
    paths = [folder / "a.png", folder / "b.avi", folder / "a.png"]
    verdicts = detector(paths, **NONE)
    assert [verdict.input for verdict in verdicts] == [str(path) for path in paths]
    assert verdicts[0].fake_prob == verdicts[2].fake_prob


@pytest.mark.parametrize("missing", ["gone.mp4", "empty"])
def test_a_path_without_input_gives_a_verdict_with_the_error(detector, tmp_path, missing):
    (tmp_path / "empty").mkdir()
    verdict = detector(tmp_path / missing, **NONE)
    if missing == "empty":
        (verdict,) = verdict
    assert verdict.status == "error" and verdict.error
    with pytest.raises(InputError, match="has no score to show"):
        verdict.show()
    assert "not scored" in verdict._repr_html_()


def test_clips_give_a_list_and_the_scores_of_predict(detector):
    values = np.array([90, 110, 105, 95, 100], np.uint8)
    clips = np.broadcast_to(values[:, None, None, None, None], (5, T, SIZE, SIZE, 3)).copy()
    verdicts = detector(clips)
    probs = [verdict.fake_prob for verdict in verdicts]
    np.testing.assert_allclose(probs, expit(0.1 * (values - 100.0)), rtol=1e-6)
    np.testing.assert_allclose(detector.predict(clips), probs, rtol=1e-6)
    assert detector.predict(clips).dtype == np.float32 and len(detector.predict(clips[:0])) == 0
    assert [verdict.input for verdict in verdicts] == [f"clip {i}" for i in range(5)]
    assert [verdict.fake_prob for verdict in detector(jnp.asarray(clips))] == probs


def test_frames_and_crops_need_nothing_of_the_face_detector_of_training(detector, folder, capsys):
    recipe = CropRecipe("yunet", align=True, min_quality=(("score", 0.5),), every=2)
    config = detector.config.copy_and_resolve_references()
    config.crops.update(dataclasses.asdict(recipe))
    other = dataclasses.replace(detector, config=config, checkpoint_sha256="d" * 64)
    frames = np.random.default_rng(0).integers(0, 256, (9, SIZE, SIZE, 3), np.uint8)
    assert other(frames).fake_prob == detector(frames).fake_prob
    clip = frames[None, :T]
    assert [v.fake_prob for v in other(clip)] == pytest.approx(detector.predict(clip))
    for _ in range(2):
        path = folder / "b.avi"
        assert other(path, **NONE).fake_prob == pytest.approx(detector(path, **NONE).fake_prob)
    said = capsys.readouterr().err
    assert said.count("(score=0.5) does not apply") == 1


@pytest.mark.parametrize("shape", [(0, 16, 3), (16, 0, 3), (16, 16, 1), (16, 16, 4), (16, 3)])
def test_predict_refuses_clips_without_pixels_or_with_other_channels(detector, shape):
    with pytest.raises(ValueError, match=r"takes uint8 \[N, 3, H, W, 3\]"):
        detector.predict(np.zeros((2, T, *shape), np.uint8))


@pytest.mark.parametrize("length", [1, 2, 7, 30])
def test_frames_of_any_length_are_cut_into_clips(detector, length):
    frames = np.broadcast_to(
        np.arange(90, 90 + length, dtype=np.uint8)[:, None, None, None], (length, 20, 20, 3)
    ).copy()
    verdict = detector(frames)
    assert verdict.status == "ok" and verdict.input == "frames"
    clips = verdict.clip_scores["fake_prob"]
    assert len(clips) == min(2, max(1, length - 2 * (T - 1)))
    numbers = verdict.origin.position[0][verdict.origin.mask[0]]
    np.testing.assert_allclose(clips[0], expit(0.1 * (frames[numbers].mean() - 100)), rtol=1e-6)
    assert isinstance(verdict.show(), Figure)
    covering = detector(frames, clips=0)
    assert covering.frames_used >= verdict.frames_used


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((4, T, 8, 8, 3), np.float32, "not float32"),
        ((4, T + 1, 8, 8, 3), np.uint8, "have 3 frames, not 4"),
        ((8, 8, 3), np.uint8, r"not uint8 \[8, 8, 3\]"),
        ((4, 8, 8, 4), np.uint8, r"\[4, 8, 8, 4\]"),
        ((0, 8, 8, 3), np.uint8, r"\[0, 8, 8, 3\]"),
    ],
)
def test_wrong_arrays_are_refused(detector, shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        detector(np.zeros(shape, dtype))


def test_a_verdict_draws_itself_as_long_as_its_file_is_there(detector, folder, tmp_path, capsys):
    verdict = detector(folder / "b.avi", **NONE)
    assert verdict.origin.pictures is None  # frames are read again to be shown
    figure = verdict.show(tmp_path / "out" / "strip.png")
    assert isinstance(figure, Figure)
    assert cv2.imread(str(tmp_path / "out" / "strip.png")).std() > 5
    figure.savefig(io.BytesIO(), format="png")
    page = verdict._repr_html_()
    assert page.count('src="data:image/jpeg;base64,') > 1 and "<svg" in page and ">real</p>" in page
    assert "not calibrated" in page and "is no proof" in page, "the parts of the page of predict"
    (folder / "b.avi").unlink()
    assert "no picture: " in verdict._repr_html_()
    assert capsys.readouterr().out == ""


def test_predict_takes_a_detector_and_tells_each_verdict_at_once(detector, folder, capsys):
    seen = []
    verdicts = predict(detector, folder, out=folder / "out", on_verdict=seen.append, **NONE)
    assert [v.input for v in verdicts] == [v.input for v in seen]
    assert [v.status for v in verdicts] == ["ok", "ok", "error"]
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        "a.png", "b.png", "predictions.jsonl",
    ]  # fmt: skip
    both = predict(detector, folder / "b.avi", flip=True, **NONE)
    assert both[0].fake_prob == pytest.approx(verdicts[1].fake_prob, rel=1e-6)
    assert capsys.readouterr().out == ""
