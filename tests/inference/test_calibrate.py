"""`dfjax calibrate`, and `predict` and `evaluate` with its file."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

import dfjax
from dfjax.config import load_config
from dfjax.data.faces.recipe import CropRecipe, make_metadata
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import FileError, UsageError
from dfjax.evaluation.calibration.calibration_file import read_calibration
from dfjax.evaluation.report.reproduction import reproduce
from dfjax.files import hash_json
from dfjax.inference.calibrate import calibrate
from dfjax.inference.detector import Detector
from dfjax.inference.predict import predict
from dfjax.inference.verdict_text import read_verdict, write_verdict

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SIZE, EACH = 8, 24  # videos of each class and split


def make_detector(workdir, sha256="0" * 64):
    """Its logit is the mean brightness of a clip, in units of 40 from 128."""
    config = load_config("dual_stream")
    config.preprocess.size = SIZE
    config.data.update({"frames": 1, "stride": 1, "crop_size": SIZE, "eval_clips": 1})
    config.crops.update(dataclasses.asdict(CropRecipe(detector="none", size=SIZE)))

    def apply(variables, inputs, *, train, rngs):
        return (inputs["hq"].mean((1, 2, 3, 4)) - 128) * variables["weight"], {}, {}

    def preprocess(batch, rng, *, train):
        return {"hq": batch["clip"].astype(np.float32), "mask": batch["mask"]}

    return Detector(
        config, {"weight": np.float32(1 / 40)}, "best/1", sha256, workdir, apply, preprocess
    )


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Noisy pictures, of which those of fakes are brighter, and their index."""
    folder, rows = tmp_path_factory.mktemp("crops"), []
    rng = np.random.default_rng(0)
    for split in ("val", "test"):
        for number in range(2 * EACH):
            name, label = f"{split}{number}", number % 2
            (folder / name).mkdir()
            bright = rng.normal(100 + 56 * label, 40)
            image = (bright + rng.normal(0, 8, (SIZE, SIZE, 3))).clip(0, 255)
            cv2.imwrite(str(folder / name / "000000.png"), image)
            cv2.imwrite(str(folder / name / "000000.jpg"), image)
            rows.append(
                make_record(
                    video_id=f"set/{name}", dataset="set", label=label, method="m" * label,
                    split=split, frames_dir=name, frame_indices=[0], face_found=[True],
                    width=SIZE, height=SIZE, n_frames=1,
                    bytes=(folder / name / "000000.jpg").stat().st_size,
                )
            )  # fmt: skip
    metadata = make_metadata(CropRecipe(detector="none", size=SIZE))
    write_index(make_index(rows), folder / "index.parquet", command="test", metadata=metadata)
    return folder


@pytest.fixture(scope="module")
def calibrated(crops, tmp_path_factory):
    """A detector whose workdir has a calibration, and the report of it."""
    detector = make_detector(tmp_path_factory.mktemp("run"))
    return detector, calibrate(detector, index=crops / "index.parquet", false_alarm_rate=0.1)


def test_it_is_fitted_to_the_validation_videos_only(calibrated, crops):
    detector, report = calibrated
    found = read_calibration(detector.workdir / "calibration.json")
    assert len(found.label) == 2 * EACH and all("val" in name for name in found.video_id)
    assert found.checkpoint_sha256 == detector.checkpoint_sha256
    assert found.conformal.groups == {"real": EACH, "fake": EACH}
    assert set(found.inputs) == {"sharpness", "face_size", "frame_size", "bits_per_pixel"}
    assert np.isfinite(found.inputs["sharpness"]).all()
    sizes = [(crops / name[4:] / "000000.jpg").stat().st_size for name in found.video_id]
    np.testing.assert_allclose(found.inputs["bits_per_pixel"], 8 * np.array(sizes) / SIZE**2)
    assert (detector.workdir / "calibration.png").is_file()
    assert report.to_json()["map"]["kind"] == found.map.kind
    assert set(report.to_json()["verdicts"]["real"]["0.1"]) == {"real", "fake", "undecided"}


def test_predict_decides_at_the_rates_and_keeps_the_score(calibrated, crops):
    detector, report = calibrated
    pictures = sorted(crops.glob("test*/*.jpg"))[:16]
    verdicts = predict(detector, pictures, workers=1)
    plain = predict(detector, pictures, workers=1, calibrated=False)
    assert [v.fake_prob for v in verdicts] == [v.fake_prob for v in plain]
    assert {"undecided"} < {v.verdict for v in verdicts} <= {"real", "fake", "undecided"}
    assert "guarantee" not in plain[0].to_dict() and plain[0].verdict in ("real", "fake")
    one = verdicts[0].to_dict()
    expected = report.calibration.map(np.array([one["fake_prob"]]))[0]
    assert one["calibrated_prob"] == pytest.approx(expected)
    (strict,) = predict(detector, pictures[:1], false_alarm_rate=0.05)
    assert (strict.guarantee["false_alarm_rate"], strict.guarantee["miss_rate"]) == (0.05, 0.1)
    assert one["guarantee"]["p_real"] == strict.guarantee["p_real"]
    (other,) = predict(detector, pictures[:1], miss_rate=0.2)
    assert (other.guarantee["false_alarm_rate"], other.guarantee["miss_rate"]) == (0.1, 0.2)
    with pytest.raises(UsageError, match="error rates of verdicts need the calibration"):
        predict(detector, pictures[:1], miss_rate=0.2, calibrated=False)


def test_a_guarantee_holds_only_where_drift_could_be_seen(calibrated, crops, tmp_path, capsys):
    detector, _ = calibrated
    pictures = sorted(crops.glob("test*/*.jpg"))
    first: list = []
    predict(detector, pictures, workers=1, out=tmp_path / "many", on_verdict=first.append)
    logged = [json.loads(line) for line in (tmp_path / "many" / "predictions.jsonl").open()]
    assert len(logged) == 2 * EACH and all(line["guarantee"]["holds"] is True for line in logged)
    assert not any(verdict.guarantee["holds"] for verdict in first), "told before drift is judged"
    assert "verdicts are guaranteed at a false-alarm rate of 0.1" in capsys.readouterr().err
    predict(detector, pictures[:1], out=tmp_path / "one", html=True)
    (logged,) = [json.loads(line) for line in (tmp_path / "one" / "predictions.jsonl").open()]
    assert logged["guarantee"]["holds"] is None
    assert "1 input: too few to see any drift" in logged["guarantee"]["reason"]
    assert "is not checked" in capsys.readouterr().err
    page = (tmp_path / "one" / "000000.html").read_text()
    assert "Not checked" in page and "too few to see any drift" in page


def test_lines_of_an_interrupted_call_claim_nothing(calibrated, crops, tmp_path):
    def stop(verdict):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(calibrated[0], sorted(crops.glob("test*/*.jpg")), out=tmp_path, on_verdict=stop)
    (line,) = (tmp_path / "predictions.jsonl").open()
    guarantee = json.loads(line)["guarantee"]
    assert guarantee["holds"] is None and "when all of them are scored" in guarantee["reason"]


def test_python_and_the_command_line_give_one_verdict(calibrated, crops):
    detector, _ = calibrated
    pictures = sorted(crops.glob("test*/*.jpg"))[:20]
    for given in (pictures, pictures[:1]):
        said = [verdict.to_dict() for verdict in predict(detector, given)]
        assert said == [verdict.to_dict() for verdict in detector(given)]
    assert detector(pictures[0], false_alarm_rate=0.05).guarantee["false_alarm_rate"] == 0.05
    assert detector(pictures[0], calibrated=False).guarantee is None
    crop = cv2.imread(str(pictures[0]))[None]
    assert "how they were made is not known" in detector(crop).guarantee["reason"]


def test_inputs_that_drift_have_no_guarantee(calibrated, crops, tmp_path, capsys):
    detector, _ = calibrated
    for number in range(24):
        image = np.full((40 * SIZE, 40 * SIZE, 3), 100 + number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), image)
    verdicts = predict(detector, tmp_path, workers=1)
    assert all(v.guarantee["holds"] is False for v in verdicts)
    assert "sharpness drifts from the calibration set" in verdicts[0].guarantee["reason"]
    assert "frame_size drifts" in verdicts[0].guarantee["reason"]
    assert "note: no guarantee: " in capsys.readouterr().err
    predict(detector, tmp_path / "0.jpg")
    assert "1 input: too few to see any drift" in capsys.readouterr().err


def test_clips_made_otherwise_have_no_guarantee(calibrated, crops):
    picture = crops / "test0" / "000000.jpg"
    (same,) = predict(calibrated[0], picture, face_detector="none", clips=1)
    assert same.guarantee["holds"] is None
    (other,) = predict(calibrated[0], picture, margin=2.0)
    assert other.guarantee["reason"] == "margin differs from the calibration"


def test_a_calibration_of_another_checkpoint_is_refused(calibrated, crops, capsys):
    other = make_detector(calibrated[0].workdir, "1" * 64)
    picture = crops / "test0" / "000000.jpg"
    (verdict,) = predict(other, picture)
    assert verdict.guarantee is None and "is refused: it is of the checkpoint best/1" in (
        capsys.readouterr().err
    )
    with pytest.raises(UsageError, match="is refused"):
        predict(other, picture, false_alarm_rate=0.1)
    with pytest.raises(UsageError, match="it is of scores made with one draw, not with flip"):
        predict(calibrated[0], picture, flip=True, false_alarm_rate=0.1)


@pytest.mark.slow  # it draws the figures of an evaluation
def test_evaluate_has_the_shares_of_verdicts_and_reproduces(calibrated, crops, tmp_path):
    detector, _ = calibrated
    report = dfjax.evaluate(detector, index=crops / "index.parquet", out=tmp_path / "out")
    block = report.metrics["calibration"]
    assert block["videos"] == 2 * EACH and block["guarantee"]["fitted_to"] == 0
    assert block["guarantee"]["holds"] and block["guarantee"]["reason"] is None
    assert block["false_alarm_rate"] == block["verdicts"]["real"]["fake"] <= 0.3
    low, high = block["false_alarm_rate_ci"]
    assert low <= block["false_alarm_rate"] <= high
    assert block["reliability"]["before"]["log_loss"] == pytest.approx(
        report.metrics["overall"]["log_loss"]
    )
    assert {"calibrated_prob", "conformal_verdict"} <= set(report.predictions)
    assert any("guaranteed rates" in str(part) for part in report.describe())
    found = reproduce(tmp_path / "out")
    assert found.differences == []
    again = dfjax.evaluate(tmp_path / "out" / "predictions.parquet")
    assert again.metrics["overall"] == report.metrics["overall"]
    assert again.metrics["calibration"]["verdicts"] == block["verdicts"]


def test_several_processes_do_not_divide_a_calibrated_evaluation(calibrated, monkeypatch):
    monkeypatch.setattr("dfjax.processes.count", lambda: 2)
    with pytest.raises(UsageError, match="not divided over processes"):
        dfjax.evaluate(calibrated[0])


def test_verdicts_of_other_processes_are_decided_alike(calibrated, crops, monkeypatch):
    detector, files = calibrated[0], sorted(crops.glob("test*/*.png"))[:8]
    expected = [verdict.to_dict() for verdict in predict(detector, files)]

    def score_elsewhere(score, files):
        return (read_verdict(write_verdict(verdict)) for verdict in score(files))

    monkeypatch.setattr("dfjax.inference.predict.score_together", score_elsewhere)
    assert [verdict.to_dict() for verdict in predict(detector, files)] == expected
    assert expected[0]["guarantee"]


def test_wrong_arguments(calibrated, crops, tmp_path):
    detector, index = calibrated[0], crops / "index.parquet"
    for rate in (0.0, 0.6, float("nan")):
        with pytest.raises(UsageError, match="false-alarm rate must be in"):
            calibrate(detector, index=index, false_alarm_rate=rate)
    with pytest.raises(UsageError, match=r"there is no .*calibration.json"):
        predict(make_detector(tmp_path), crops / "test0", false_alarm_rate=0.1)


DAMAGE = {
    "platt": ({"map": {"kind": "platt", "x": [-1.0], "y": [0.0]}}, "does not ascend"),
    "isotonic": ({"map": {"kind": "isotonic", "x": [0.5, 0.1], "y": [0, 1]}}, "does not ascend"),
    "kind": ({"map": {"kind": "__import__", "x": [], "y": []}}, "its map"),
    "infinite": ({"map": {"kind": "temperature", "x": [1e999], "y": []}}, "finite|number"),
    "rates": ({"rates": {"false_alarm": 0, "miss": 0.1}}, "false-alarm rate must be"),
    "format": ({"dfjax_calibration": 99}, "format is 99"),
    "lengths": ({"inputs": {"sharpness": [1.0]}}, "differ in length"),
    "label": ({"videos.label": [7]}, "labels are not"),
    "one class": ({"videos.label": [0]}, "labels are not"),
    "prob": ({"videos.fake_prob": [1.5]}, "not in .0, 1"),
    "null": ({"videos.fake_prob": [None]}, "null, not a number"),
    "no hash": ({"checkpoint_sha256": 3}, "checkpoint_sha256 is 3, not a text"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_one_line(calibrated, tmp_path, name):
    value = json.loads((calibrated[0].workdir / "calibration.json").read_text())
    changes, message = DAMAGE[name]
    for key, new in changes.items():
        holder, _, inner = key.rpartition(".")
        if holder:
            value[holder][inner] = new * len(value[holder][inner])
        else:
            value[key] = new
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(value | {"sha256": hash_json(value)}))
    with pytest.raises(FileError, match=message) as raised:
        read_calibration(path)
    assert "\n" not in str(raised.value) and "run `dfjax calibrate` again" in str(raised.value)


def test_a_changed_digit_is_refused(calibrated, tmp_path):
    text, path = (calibrated[0].workdir / "calibration.json").read_text(), tmp_path / "c.json"
    path.write_text(text.replace("\n", " "))
    read_calibration(path)
    place = text.index('"fake_prob": [') + text[text.index('"fake_prob": [') :].index("0.") + 2
    path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    with pytest.raises(FileError, match=r"c.json was changed .* run `dfjax calibrate` again"):
        read_calibration(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 9999, '{"map": 1, "map": 2}', "\x00"])
def test_what_is_no_calibration_is_one_line(tmp_path, text):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(FileError) as raised:
        read_calibration(tmp_path / "calibration.json")
    assert "\n" not in str(raised.value)
