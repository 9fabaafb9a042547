"""Tests `dfjax predict`: valid and invalid inputs, audit lines, independent scores."""

import dataclasses
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.special import expit, logit

from dfjax.commands.main import main
from dfjax.config import base
from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces import clip_crops
from dfjax.data.faces.crops import FaceCrops
from dfjax.data.faces.settings import ExtractionSettings
from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.errors import UsageError
from dfjax.inference import audit_log, score_inputs
from dfjax.inference import predict as predict_run
from dfjax.inference.audit_log import AuditLog, compute_sha256
from dfjax.inference.ensemble import Ensemble
from dfjax.inference.media import (
    ClipOrigin,
    Pictures,
    PredictionSettings,
    Prepared,
    Sightings,
    choose_clips,
    find_inputs,
)
from dfjax.inference.score_inputs import make_batch, score_entries
from dfjax.inference.verdict import Verdict

T = 3


class Brightness(Ensemble):
    """A detector whose logit is the brightness, and which records its batches."""

    checkpoint, checkpoint_sha256, config = "best/7", "c" * 64, None
    members = (SimpleNamespace(workdir=Path("a workdir without a calibration")),)

    def __init__(self):
        config = base()
        config.data.frames, config.data.stride = T, 2
        config.data.crop_size = 32
        vars(self).update(config=config, batches=[])  # an ensemble is frozen

    def score(self, batches, *, batch_size=0):
        for batch in batches:
            clips, mask = batch["clip"], batch["mask"]
            self.batches.append((len(clips), batch_size))
            assert clips.dtype == np.uint8 and clips.shape[1:] == (T, 32, 32, 3)
            logits = (clips.mean((1, 2, 3, 4), where=mask[:, :, None, None, None]) - 128) / 32
            yield batch, {"logit": logits, "fake_prob": expit(logits)}


@pytest.fixture
def detector(monkeypatch):
    stub = Brightness()
    monkeypatch.setattr(predict_run, "load_ensemble", lambda *arguments, **options: stub)
    return stub


def image(path, value, shape=(41, 57, 3)):
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))
    return path


def video(path, values):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for value in values:
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def predict(capsys, *arguments, workdir="w"):
    code = main(["predict", "--workdir", workdir, "--workers", "1", "--json", *map(str, arguments)])
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    return code, json.loads(lines[-1])["results"] if lines else None, captured.err


def test_good_and_bad_inputs_together(tmp_path, capsys, detector):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    image(folder / "a.png", 160)
    video(folder / "deep" / "b.avi", [64] * 20)
    (folder / "c.mp4").write_bytes(b"")
    (folder / "d.mp4").write_text("a text")
    (folder / "notes.txt").write_text("not an input")
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    out = tmp_path / "out"
    code, results, errors = predict(capsys, folder, "--detector", "none", "--out", out)
    assert code == 1
    assert [r["status"] for r in results] == ["ok", "error", "error", "ok"]
    assert [r["input"][len(str(folder)) + 1 :] for r in results] == [
        "a.png", "c.mp4", "d.mp4", "deep/b.avi",
    ]  # fmt: skip
    one, empty, text, film = results
    assert one["fake_prob"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert one["verdict"] == "fake" and one["frames_used"] == 1 and one["faces_missed"] == 0
    assert one["confidence"] == one["fake_prob"]
    assert film["fake_prob"] == pytest.approx(1 / (1 + np.exp(2)), abs=0.02)
    assert film["verdict"] == "real" and film["confidence"] == 1 - film["fake_prob"]
    assert "0 bytes" in empty["error"] and "not a video" in text["error"]
    assert empty["fake_prob"] is None and empty["verdict"] is None
    assert "c.mp4: empty file" in errors and "2 of 4 inputs could not be scored" in errors
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [{k: line[k] for k in one} for line in lines] == results
    assert all(len(line["input_sha256"]) == 64 for line in lines)
    assert {line["checkpoint_sha256"] for line in lines} == {"c" * 64}
    assert sorted(p.name for p in out.glob("*.png")) == ["a.png", "b.png"]
    assert cv2.imread(str(out / "b.png")).std() > 5
    before = (out / "predictions.jsonl").read_text()
    predict(capsys, folder / "a.png", "--detector", "none", "--out", out)
    assert (out / "predictions.jsonl").read_text().startswith(before)  # an audit log only grows


def test_no_face_is_an_error_not_a_guess(tmp_path, capsys, detector):
    code, results, errors = predict(capsys, image(tmp_path / "wall.png", 128))
    assert code == 1 and results[0]["fake_prob"] is None and detector.batches == []
    assert "no face found in its one frame" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.mp4"], "no such file or folder: nothing.mp4"),
        (["FOLDER"], "no video or image in"),
        (["FILE"], "not a workdir"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    places = {"FOLDER": tmp_path / "empty", "FILE": image(tmp_path / "a.png", 9)}
    arguments = [places.get(a, a) for a in arguments]
    code, _, errors = predict(capsys, *arguments, workdir=str(tmp_path / "empty"))
    assert code == 2 and message in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--detector", "har"], "Did you mean 'haar'"),
        (["--detector", "yunet", "--detector-model", "absent.onnx"], "no model file"),
        (["--align"], "align needs landmarks"),
        (["--margin", "-1"], "margin must be positive"),
        (["--batch-size", "0"], "batch_size must be positive"),
        (["--workers", "0"], "workers and time_limit must be positive"),
        (["--clips", "-1"], "clips must not be negative"),
    ],
)
def test_settings_that_cannot_be_are_one_line_and_exit_2(
    tmp_path, capsys, detector, arguments, message
):
    code, _, errors = predict(capsys, image(tmp_path / "a.png", 9), *arguments)
    assert code == 2 and message in errors and errors.count("\n") == 1


def prepared(*values):
    clips = np.stack([np.full((T, 32, 32, 3), v, np.uint8) for v in values])
    mask = np.ones(clips.shape[:2], bool)
    position = np.tile(np.arange(T, dtype=np.int32), (len(clips), 1))
    sightings = Sightings(position[0, :1], np.zeros((1, 4), np.float32), np.ones(1, bool))
    return Prepared(clips, ClipOrigin(mask, position, T, 0, "hash", sightings))


@pytest.mark.parametrize(("evaluated", "used"), [(2, 2), (500, 5)])  # 16 frames on a CPU
def test_a_batch_is_that_of_evaluation_or_smaller(tmp_path, capsys, detector, evaluated, used):
    detector.config.eval.batch_size = evaluated
    inputs = [image(tmp_path / f"{i}.png", 90) for i in range(2)]
    assert predict(capsys, *inputs, "--detector", "none")[0] == 0
    assert {size for _, size in detector.batches} == {used}
    assert predict(capsys, *inputs, "--detector", "none", "--batch-size", "7")[0] == 0
    assert detector.batches[-1][1] == 7


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_clips_of_several_inputs_share_batches_and_none_is_mixed_up(batch_size):
    inputs = [prepared(10, 20), "broken", prepared(30), prepared(40, 50, 60), "broken"]
    stub = Brightness()
    entries = [(str(i), entry) for i, entry in enumerate(inputs)]
    scored = list(score_entries(stub, entries, batch_size))
    assert [verdict.input for verdict in scored] == list("01234")
    expected = [[10, 20], [], [30], [40, 50, 60], []]
    for verdict, wanted in zip(scored, expected):
        probs = verdict.clip_scores.get("fake_prob", np.zeros(0))
        np.testing.assert_allclose(logit(probs) * 32 + 128, wanted, rtol=1e-9)
        assert verdict.error == (None if wanted else "broken")
    assert {size for _, size in stub.batches} == {batch_size}
    assert sum(n for n, _ in stub.batches) == 6


def test_results_do_not_wait_for_inputs_that_follow():
    stub = Brightness()

    def entries():
        yield "a", prepared(10, 20)
        yield "b", prepared(30)
        raise AssertionError("asked for more than was needed")

    results = score_entries(stub, entries(), 2)
    assert next(results).input == "a"


def cut(n_frames, sampling, clips, most=0):
    """Returns the clips of a video without missing frames."""
    settings = PredictionSettings(sampling, clips, most, ExtractionSettings())
    return choose_clips(np.arange(n_frames, dtype=np.int32), settings)


def test_a_film_gives_as_many_clips_as_asked_for_and_an_image_one():
    position, mask = cut(200, Sampling(10, "stride", 3), 4)
    assert position.shape == (4, 10) and mask.all()
    assert (np.diff(position, axis=1) == 3).all() and position.min() == 0 and position.max() <= 199
    position, mask = cut(1, Sampling(10, "stride", 3), 4)
    assert position.shape == (1, 10) and mask.sum() == 1 and position[0, 0] == 0
    position, mask = cut(200, Sampling(10, "even", 3), 1)
    assert position.shape == (1, 10) and position[0, 0] < 20 and position[0, -1] > 180


def test_a_video_is_covered_as_in_evaluation_and_a_film_in_part():
    every, _ = cut(400, Sampling(10, "stride", 2), 0)
    assert len(every) == 20
    some, _ = cut(400, Sampling(10, "stride", 2), 0, most=5)
    assert len(some) == 5 and some[0, 0] == 0 and some[-1, -1] >= 398
    assert len(cut(400, Sampling(10, "stride", 2), 0, most=20)[0]) == 20


def test_folders_are_searched_sorted_once_and_named_files_are_taken_as_often_as_given(tmp_path):
    for name in ("b.JPG", "a.mov", "x.txt"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "z").symlink_to(tmp_path)
    text, film = tmp_path / "x.txt", tmp_path / "a.mov"
    found = find_inputs([text, tmp_path, tmp_path, film, text])
    assert [p.name for p in found] == ["x.txt", "a.mov", "b.JPG", "a.mov", "x.txt"]
    assert [p.name for p in find_inputs([film, tmp_path])] == ["a.mov", "b.JPG"]
    with pytest.raises(UsageError, match="no such file"):
        find_inputs([tmp_path / "gone.mp4"])


def sleep_first(settings, path):
    """Stands in for `prepare_input`: each input has a megabyte of clips.

    The first one takes a moment longer than the six that may be read before it.
    """
    path = Path(path)
    if path.stem == "0":
        while len(list(path.parent.glob("*.read"))) < 6:
            time.sleep(0.02)
        time.sleep(0.3)
    else:
        path.with_suffix(".read").touch()
    one = prepared(int(path.stem))
    return one._replace(clips=np.broadcast_to(one.clips, (100, *one.clips.shape[1:])).copy())


def test_inputs_behind_a_slow_one_wait_unread_and_keep_their_order(tmp_path, monkeypatch):
    tasks, before = [tmp_path / f"{k}.mp4" for k in range(40)], []

    def count(*arguments, **options):
        for outcome in run_tasks(*arguments, **options):
            before.append(outcome.position)
            yield outcome

    monkeypatch.setattr(score_inputs, "prepare_input", sleep_first)
    monkeypatch.setattr(score_inputs, "run_tasks", count)
    monkeypatch.setattr(score_inputs, "BACKLOG_BYTES", 5_000_000)
    settings = PredictionSettings(Sampling(T, "stride", 2), 0, 0, ExtractionSettings())
    entries = score_inputs._read_in_order(settings, tasks, workers=2, time_limit=600.0)
    assert [name for name, _ in entries] == [str(task) for task in tasks]
    size = sleep_first(None, tmp_path / "1.mp4").clips.nbytes
    assert 3 <= before.index(0) <= 5_000_000 / size + 2


def test_pictures_that_wait_are_counted_too(monkeypatch):
    one = prepared(10)
    frames = [np.zeros((1000, 1000, 3), np.uint8)] * 2  # large pictures of small clips
    pictures = Pictures(frames, np.zeros((2, 4), np.float32), np.ones(2, bool), [0, 1])
    one = one._replace(origin=dataclasses.replace(one.origin, pictures=pictures))
    allowed = []

    def run(function, tasks, *, may_start, **options):
        for position in (1, 2, 0, 3):
            yield Outcome(position, one, None)
            allowed.append(may_start())

    monkeypatch.setattr(score_inputs, "run_tasks", run)
    monkeypatch.setattr(score_inputs, "BACKLOG_BYTES", 10_000_000)
    paths = [Path(name) for name in "abcd"]
    settings = PredictionSettings(Sampling(T, "stride", 2), 0, 0, ExtractionSettings())
    entries = score_inputs._read_in_order(settings, paths, workers=1, time_limit=1.0)
    assert [name for name, _ in entries] == list("abcd")
    assert allowed == [True, False, True, True]


def test_too_few_frames_with_a_face_are_no_verdict(tmp_path, capsys, detector, monkeypatch):
    """A face in 4 of 10 frames is refused, in 5 of 10 scored; the share is in every result."""
    path, out = video(tmp_path / "a.avi", [90] * 10), tmp_path / "out"
    detector.config.data.frames, detector.config.data.stride = T, 1
    for seen, least, status in (
        (4, 0.5, "error"),
        (5, 0.5, "ok"),
        (4, 0.4, "ok"),
        (0, 0.0, "error"),
    ):
        monkeypatch.setattr(clip_crops, "extract_faces", faces_in(seen))
        monkeypatch.setattr(score_inputs, "run_tasks", run_here)
        code, (result,), errors = predict(
            capsys, path, "--clips", "0", "--out", out, "--min-face-share", least
        )
        assert result["status"] == status and code == (status == "error")
        assert result["face_share"] == seen / 10 and result["frames_used"] == 10
        assert result["faces_missed"] == 10 - seen
        logged = json.loads((out / "predictions.jsonl").read_text().splitlines()[-1])
        assert logged["face_share"] == seen / 10
        if status == "error":
            assert "no usable face" in result["error"] and result["fake_prob"] is None
            assert ("found in 4 of 10" in errors) == (seen == 4)
    code, (result,), _ = predict(capsys, path, "--detector", "none", "--clips", "0")
    assert code == 0 and result["face_share"] is None
    detector.config.eval.min_face_share = 0.3  # of the config, which the argument overrides
    for arguments, seen, status in (((), 2, "error"), ((), 3, "ok"), (("0.5",), 3, "error")):
        monkeypatch.setattr(clip_crops, "extract_faces", faces_in(seen))
        given = ["--min-face-share", *arguments] if arguments else []
        _, (result,), _ = predict(capsys, path, "--clips", "0", *given)
        assert result["status"] == status
    code, _, errors = predict(capsys, path, "--min-face-share", "2")
    assert code == 2 and "min_face_share must be from 0 to 1" in errors


def faces_in(seen):
    """Stands in for `extract_faces`: the face is detected in the first `seen` frames."""

    def extract_faces(source, numbers, detector, how):
        n = len(numbers)
        crops = np.full((n, 32, 32, 3), 90, np.uint8)
        boxes = np.tile(np.array([8, 8, 40, 40], np.float32), (n, 1))
        return [FaceCrops(crops, boxes, np.arange(n) < seen, seen == 0)]

    return extract_faces


def run_here(function, tasks, **options):
    """Stands in for `run_tasks`: in this process, where functions can be replaced."""
    for position, task in enumerate(tasks):
        yield Outcome(position, function(task), None)


def test_crops_without_a_face_are_told_once_how_to_be_scored(tmp_path, capsys, detector):
    inputs = [image(tmp_path / f"{k}.png", 90) for k in range(5)]
    code, results, errors = predict(capsys, *inputs)
    assert code == 1 and [r["face_share"] for r in results] == [0.0] * 5
    assert errors.count("--detector none") == 1
    assert "no face was found in 5 of 5 inputs" in errors


NAMES = {
    "a\n0.0001  real  b.png": "a\\n0.0001  real  b.png",
    "c\x1b[31mred\x1b[0m.png": "c\\x1b[31mred\\x1b[0m.png",
    "d\u202egnp.png": "d\\u202egnp.png",
    "e\x07\x9b\r.png": "e\\x07\\x9b\\r.png",
    "f $x$ [bold].png": "f $x$ [bold].png",
}


def test_names_cannot_forge_lines_or_colours(tmp_path, capsys, detector):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        image(folder / name, 90)
        (folder / name).with_suffix(".mp4").write_bytes(b"")
    argv = ["predict", "--workdir", "w", "--workers", "1", "--detector", "none", str(folder)]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert all(line.isprintable() for line in text.splitlines())
    lines = captured.out.splitlines()
    assert len(lines) == len(NAMES) and all(line.startswith("0.") for line in lines)
    assert all(any(shown in line for line in lines) for shown in NAMES.values())
    assert len(captured.err.splitlines()) == len(NAMES) + 2
    logged = [json.loads(x) for x in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert set(NAMES) <= {Path(line["input"]).name for line in logged}
    assert len(list((tmp_path / "out").glob("*.png"))) == len(NAMES)


def test_long_names_have_pictures_and_a_lost_picture_costs_only_itself(
    tmp_path, capsys, detector, monkeypatch
):
    stems = ["x" * 251, "x" * 250 + "y", "影" * 83, "short"]
    inputs = [image(tmp_path / "a.png", 90).rename(tmp_path / f"{stem}.png") for stem in stems]
    out = tmp_path / "out"
    code, results, _ = predict(capsys, *inputs, "--detector", "none", "--out", out)
    assert code == 0 and [r["status"] for r in results] == ["ok"] * 4
    assert len(list(out.glob("*.png"))) == 4 and (out / "short.png").is_file()
    monkeypatch.setattr(audit_log, "LONGEST", 999)  # as on a file system with shorter names
    monkeypatch.setattr(audit_log, "check_outputs", lambda *arguments, **options: None)
    longer = image(tmp_path / "a.png", 90).rename(tmp_path / f"{'z' * 252}.ts")
    longer.unlink()
    video(tmp_path / "z.avi", [90] * 4).rename(longer)
    code, results, errors = predict(
        capsys, longer, inputs[3], "--detector", "none", "--out", tmp_path / "more"
    )
    assert code == 0 and [r["status"] for r in results] == ["ok"] * 2
    assert [p.name for p in (tmp_path / "more").glob("*.png")] == ["short.png"]
    assert errors.count("is not written: File name too long") == 1


def test_files_of_other_kinds_in_a_folder_are_counted(tmp_path, capsys, detector):
    image(tmp_path / "a.png", 90)
    for k in range(3):
        (tmp_path / f"{k}.heic").touch()
    for name in ("b.txt", "README", ".DS_Store"):
        (tmp_path / name).touch()
    code, results, errors = predict(capsys, tmp_path, "--detector", "none")
    assert code == 0 and len(results) == 1
    assert f"5 files skipped: heic, txt, no suffix (in {tmp_path})" in errors


def test_a_pipe_that_is_named_is_an_input_that_cannot_be_read(tmp_path, capsys, detector):
    os.mkfifo(tmp_path / "p.mp4")
    code, (result,), _ = predict(capsys, tmp_path / "p.mp4")
    assert code == 1 and result["error"] == "is not a regular file"


def test_a_log_goes_on_below_a_line_that_was_cut_short(tmp_path):
    """As a kill in the middle of a line leaves it."""
    log = AuditLog(tmp_path, [tmp_path / "a.mp4"], "best/7", "c" * 64)
    verdict = Verdict(str(tmp_path / "a.mp4"), "error", error="empty file")
    log.write(verdict)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + whole[:50])
    log.write(verdict)
    log.write(verdict)
    first, cut, *others = log.path.read_text().splitlines()
    assert cut == first[:50] and len(others) == 2
    assert {json.loads(line)["input"] for line in (first, *others)} == {verdict.input}


def test_equal_names_get_pictures_of_their_own(tmp_path):
    paths = [tmp_path / p for p in ("a.mp4", "b/a.mp4", "c/a-2.mp4", "d/a.png", "a.mp4")]
    log = AuditLog(tmp_path / "out", paths, "best/7", "c" * 64)
    assert [p.name for p in log.pictures.values()] == ["a.png", "a-2.png", "a-2-2.png", "a-3.png"]


@pytest.mark.slow
@pytest.mark.samples
def test_a_real_video(samples, capsys, detector, monkeypatch):
    path = samples / "ffpp/original_sequences/youtube/c23/videos/004.mp4"
    code, results, _ = predict(capsys, path, "--clips", "2")
    assert code == 0 and results[0]["frames_used"] == 2 * T and results[0]["faces_missed"] == 0
    assert compute_sha256(path) is not None


def test_a_batch_holds_the_flow_of_its_clips_where_the_model_reads_it():
    clips = np.random.default_rng(0).integers(0, 256, (2, T, 32, 32, 3), np.uint8)
    mask = np.array([[True, True, True], [True, True, False]])
    flow = make_batch(clips, mask, flow=True)["flow"]
    assert flow.shape == (2, T - 1, 32, 32, 2) and flow[0].any() and not flow[1, 1].any()
    assert set(make_batch(clips, mask, flow=False)) == {"clip", "mask"}
