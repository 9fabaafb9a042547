"""Damaged and foreign calibrations of a workdir, and damaged fusion files."""

import contextlib
import dataclasses
import json

import hostile_media
import numpy as np
import pandas as pd
import pytest
from hostile_cases import make_cases, over
from hostile_mutations import BYTES, JSON, mutate_json, rewrite
from test_hostile_tables import strict
from test_hostile_workdir import here, true  # noqa: F401  # fixtures

from dfjax.errors import UsageError
from dfjax.evaluation.calibration.calibration_file import Calibration, write_calibration
from dfjax.evaluation.calibration.conformal import UNDECIDED, Rates
from dfjax.evaluation.calibration.maps import CalibrationMap
from dfjax.files import hash_json
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import Ensemble
from dfjax.inference.fuse import fuse
from dfjax.inference.predict import predict

pytestmark = pytest.mark.slow
N = 60


def make_calibration(detector):
    """A calibration of a detector, of invented scores."""
    rng = np.random.default_rng(0)
    label = np.arange(N) % 2
    return Calibration(
        checkpoint=detector.checkpoint, checkpoint_sha256=detector.checkpoint_sha256,
        scoring={"draws": "", "clips": 1},
        data={"path": "pack", "split": "val", "index_sha256": "0" * 64},
        map=CalibrationMap("platt", (0.9,), (0.1,)), rates=Rates(0.1, 0.1),
        video_id=[f"v{k}" for k in range(N)], label=label,
        fake_prob=(0.5 * label + rng.uniform(0, 0.5, N)), group=np.arange(N),
        inputs={"sharpness": rng.uniform(10, 20, N)},
        reliability={"before": {}, "after": {}},
    )  # fmt: skip


def damage(file, case):
    """Damages a file; returns whether its content is another and its hash is not renewed."""
    before = file.read_bytes()
    if case.operation in BYTES:
        rewrite(file, BYTES[case.operation](before, case.rng()))
    else:
        rewrite(file, mutate_json(json.loads(before), case.operation, case.rng()))
    forged = case.operation in JSON and case.number % 2 == 1 and renew_hash(file)
    return not forged and parse(file.read_bytes()) != parse(before)


def parse(data):
    """The content of a JSON file as text, in which NaN equals NaN; None where it has none."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.dumps(json.loads(data), sort_keys=True)
    return None


def renew_hash(file):
    """Gives a changed file the hash of its content, as somebody who means harm would."""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(file.read_bytes())
        if isinstance(value, dict):
            value["sha256"] = hash_json(value)
            rewrite(file, json.dumps(value).encode())
            return True
    return False


@pytest.fixture
def quick(here, monkeypatch):  # noqa: F811
    """Scores nothing on either way to a verdict (see `here`)."""
    monkeypatch.setattr(Ensemble, "score", Detector.score)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("picture")
    hostile_media.good("a.png", str(folder))
    hostile_media.good.cache_clear()
    return folder / "a.png"


def with_workdir(true, folder):  # noqa: F811
    """The honest detector, whose workdir is another folder with a calibration."""
    folder.mkdir()
    detector = dataclasses.replace(true, workdir=folder)
    write_calibration(make_calibration(detector), folder / "calibration.json")
    return detector


@over(make_cases("calibration", JSON, 2) + make_cases("calibration", BYTES, 1))
def test_calibration(case, watch, true, quick, picture):  # noqa: F811
    detector = with_workdir(true, watch.inputs / "workdir")
    changed = damage(detector.workdir / "calibration.json", case)
    found = watch.call(predict, detector, picture)
    again = watch.call(detector, picture)
    if isinstance(found, Exception):
        watch.expect(isinstance(found, UsageError), f"{type(found).__name__} has another exit code")
        watch.expect(str(again) == str(found), "Python and the command line differ")
        return
    watch.expect(not changed, "a calibration with other content is used")
    (verdict,) = found
    assert verdict.to_dict() == again.to_dict()
    assert verdict.verdict in ("real", "fake", UNDECIDED)
    if verdict.guarantee:
        assert 0 <= verdict.calibrated_prob <= 1
        assert verdict.guarantee["holds"] is not True, "one input shows nothing"
        assert 0 < verdict.guarantee["false_alarm_rate"] <= 0.5
        assert 0 < verdict.guarantee["p_real"] <= 1 and 0 < verdict.guarantee["p_fake"] <= 1


def test_calibration_of_another_model(watch, true, quick, picture):  # noqa: F811
    detector = with_workdir(true, watch.inputs / "workdir")
    (verdict,) = watch.call(predict, detector, picture)
    assert verdict.guarantee["holds"] is None, "an undamaged one is used"
    other = dataclasses.replace(detector, checkpoint_sha256="f" * 64)
    (verdict,) = watch.call(predict, other, picture)
    assert verdict.guarantee is None and verdict.calibrated_prob is None
    refused = watch.call(predict, other, picture, false_alarm_rate=0.1)
    assert isinstance(refused, UsageError) and "is refused" in str(refused)


@over(make_cases("fusion", JSON, 2) + make_cases("fusion", BYTES, 1))
def test_fusion(case, watch):
    rng, paths = np.random.default_rng(0), []
    for name in "ab":
        rows = pd.DataFrame({"video_id": [f"v{k}" for k in range(N)], "label": np.arange(N) % 2})
        rows["split"] = np.repeat(["val", "test"], N // 2)
        rows["fake_prob"] = (rows["label"] * 0.4 + rng.uniform(0, 0.6, N)).round(4)
        paths.append(watch.inputs / f"{name}.csv")
        rows.to_csv(paths[-1], index=False)
    file = watch.inputs / "fusion.json"
    fuse(*paths, out=file)
    changed = damage(file, case)
    outcome = watch.run("evaluate", "--workdir", file, "--json")
    if outcome.code < 2:
        watch.expect(not changed, "a fusion with other content is used")
        metrics = strict(outcome.out.splitlines()[-1])
        assert metrics["n"]["videos"] == N // 2, "only videos that the rule was not fitted to"
