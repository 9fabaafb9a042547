"""Tests cross-validation: training, resuming, and the results of all folds."""

from unittest import mock

import jax
import pandas as pd
import pytest

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment.train import run_training
from dfjax.inference.evaluate import evaluate
from dfjax.studies import cross_validation as driver
from dfjax.studies import run_series
from dfjax.studies.cross_validation import make_markdown, spread, summarise_folds, train_folds
from dfjax.training.interrupt import Stopped

CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
SMALL = ("train.epochs=1", "writers.tensorboard=False", "data.eval_clips=1")


class Interrupted:
    """Substitute for training that is stopped in the second fold and records the folds."""

    def __init__(self, at=None):
        self.at, self.trained = at, []

    def __call__(self, config, workdir, accept, interrupt, must_log):
        if workdir.name == self.at:
            raise Stopped("SIGINT")
        self.trained.append(workdir.name)
        assert not must_log  # a server of MLflow that is lost does not stop a study
        return run_training(config, workdir, accept, interrupt=interrupt, must_log=must_log)


class Evaluations:
    """Substitute for evaluation that records its calls."""

    def __init__(self):
        self.folders = []

    def __call__(self, folder, **options):
        self.folders.append(folder.name)
        return evaluate(folder, **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three commands on one workdir: stopped in the second fold, resumed, and complete."""
    before = {name: getattr(jax.config, name) for name in CACHE}
    workdir = tmp_path_factory.mktemp("folds")
    overrides = list(SMALL)
    done = []
    for stopped_at in ("fold2", None, None):
        config = load_config("resnet18:smoke", overrides)
        trained, evaluated = Interrupted(stopped_at), Evaluations()
        try:
            with mock.patch.multiple(run_series, run_training=trained, evaluate=evaluated):
                outcome = train_folds(config, workdir, 3)
        except Stopped:
            outcome = None
        done.append((outcome, trained.trained, evaluated.folders))
    yield workdir, done
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.slow
@pytest.mark.release
def test_a_stopped_driver_goes_on_where_it_was(runs):
    _, (first, second, third) = runs
    assert first == (None, ["fold1"], ["fold1"])
    outcome, _, evaluated = second
    assert outcome["status"] == "trained" and evaluated == ["fold2", "fold3"]
    outcome, _, evaluated = third
    assert outcome["status"] == "complete" and evaluated == []
    assert {k: v for k, v in second[0].items() if k != "status"} == {
        k: v for k, v in third[0].items() if k != "status"
    }


@pytest.mark.slow
def test_every_video_is_scored_once_by_a_detector_that_did_not_train_on_it(runs):
    workdir, _ = runs
    scores = pd.read_parquet(workdir / "oof.parquet")
    index = pd.read_parquet(workdir / "data" / "pack" / "index.parquet")
    assert sorted(scores["video_id"]) == sorted(index["video_id"])
    group = index.set_index("video_id")["group"]
    folds_of_group = scores.groupby(scores["video_id"].map(group))["fold"].nunique()
    assert (folds_of_group == 1).all()
    assert sorted(scores["fold"].unique()) == [1, 2, 3]


@pytest.mark.slow
def test_mean_and_deviation_are_those_of_the_folds(runs):
    workdir, done = runs
    written = pd.read_json(workdir / "folds.json", typ="series")
    accuracies = [fold["metrics"]["accuracy"] for fold in written["folds"]]
    own = [
        pd.read_json(workdir / f"fold{k}/eval/test/metrics.json", typ="series") for k in (1, 2, 3)
    ]
    assert accuracies == [metrics["overall"]["accuracy"] for metrics in own]
    assert done[2][0]["accuracy"]["mean"] == pytest.approx(sum(accuracies) / 3)
    assert (workdir / "folds.md").read_text().count("\n| ") == 6


def test_spread_by_hand():
    assert spread([0.5, 0.75, 1.0]) == {"mean": 0.75, "sd": 0.25, "n": 3}
    assert spread([0.5, None]) == {"mean": 0.5, "sd": None, "n": 1}
    assert spread([None]) == {"mean": None, "sd": None, "n": 0}


def test_markdown_by_hand():
    metrics = dict.fromkeys(driver.SHOWN, 0.5)
    flag = {"code": "constant", "severity": "warning", "message": "all alike", "ids": []}
    results = [
        {"fold": "1/3", "best_epoch": 4, "metrics": metrics | {"f1": 1.0}, "flags": []},
        {"fold": "2/3", "best_epoch": 2, "metrics": metrics | {"f1": None}, "flags": [flag]},
        {"fold": "3/3", "best_epoch": 3, "metrics": metrics | {"f1": 0.5}, "flags": []},
    ]
    lines = make_markdown("xception", summarise_folds(results)).splitlines()
    assert lines[0].startswith("# xception: 3-fold")
    assert lines[5] == "| 2/3 | 2 |" + " 0.500 |" * 5 + " – | 0.500 | 0.500 |"
    assert lines[7].split(" | ")[7] == "0.750 ± 0.354"
    assert lines[-1] == "- fold 2/3, warning constant: all alike"


def test_too_few_folds_and_the_workdir_of_a_single_run_are_refused(tmp_path):
    config = load_config("resnet18:smoke")
    with pytest.raises(UsageError, match="must be at least 3"):
        train_folds(config, tmp_path, 2)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="single run"):
        train_folds(config, tmp_path, 3)
