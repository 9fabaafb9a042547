import contextlib

import pandas as pd
import pytest
from mlflow_server import Server

from dfjax.config import load_config
from dfjax.errors import RunError, UsageError
from dfjax.experiment import mlflow_log
from dfjax.experiment.mlflow_log import connect_first, list_params, logged
from dfjax.experiment.train import run_training
from dfjax.training.interrupt import Stopped
from dfjax.training.metric_writer import MetricWriter

INDEX = pd.DataFrame({"dataset": ["synthetic", "synthetic"]})


@pytest.fixture
def server(monkeypatch):
    return Server(monkeypatch)


@pytest.fixture(scope="module")
def config():
    return load_config("resnet18_bilstm:smoke", {"writers.mlflow": True})


def log(config, workdir, error=None):
    writer = MetricWriter(workdir, step=0, tensorboard=False)
    with contextlib.closing(writer), logged(connect_first(config), config, workdir, INDEX, writer):
        writer.write("train", 1, 1, {"loss": 0.5})
        if error:
            raise error


def test_parameters_are_the_options_that_are_used(config):
    params = list_params(config)
    assert params["model.clip_detector.temporal"] == "lstm" and "loss.bce.smoothing" in params
    unused = ("model.dual_stream.", "loss.focal.", "loss.critic.")
    assert not [key for key in params if key.startswith(unused)]
    assert "loss.critic.weight" in list_params(load_config("defake:smoke"))


def test_a_finished_run_has_its_config_versions_and_files(server, config, tmp_path):
    (tmp_path / "eval" / "test").mkdir(parents=True)
    (tmp_path / "eval" / "test" / "metrics.json").write_text("{}")
    log(config, tmp_path)
    (run,) = server.runs.values()
    assert (run.name, run.info.status) == (tmp_path.name, "FINISHED")
    assert run.params["optimizer.learning_rate"] == str(config.optimizer.learning_rate)
    assert run.tags["dfjax.data"] == "synthetic"
    assert run.tags["version.jax"] and run.tags["version.dfjax"]
    assert run.tags["dfjax.workdir"] == str(tmp_path)
    assert list(run.files) == ["eval/test/metrics.json"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(Stopped("SIGTERM"), "KILLED"), (KeyboardInterrupt(), "KILLED"), (RunError("x"), "FAILED")],
)
def test_the_status_says_how_a_run_ended(server, config, tmp_path, error, status):
    with pytest.raises(type(error)):
        log(config, tmp_path, error)
    (run,) = server.runs.values()
    assert run.info.status == status
    log(config, tmp_path)
    assert run.info.status == "FINISHED" and len(server.runs) == 1


def test_a_stopped_run_stays_stopped_when_the_server_is_lost(server, config, tmp_path, capsys):
    mlflow, writer = connect_first(config), MetricWriter(tmp_path, step=0, tensorboard=False)
    with pytest.raises(Stopped), logged(mlflow, config, tmp_path, INDEX, writer):
        server.down = True
        raise Stopped("SIGTERM")
    assert "the same call logs the rest" in capsys.readouterr().err


def test_phases_are_named_by_their_run(server, config, tmp_path):
    (tmp_path / "long" / "phase1").mkdir(parents=True)
    log(config, tmp_path / "long" / "phase1")
    assert [run.name for run in server.runs.values()] == ["long/phase1"]


def test_other_processes_than_the_first_do_not_connect(server, config, monkeypatch):
    monkeypatch.setattr(mlflow_log.processes, "is_first", lambda: False)
    assert connect_first(config) is None and server.experiments == {}


def test_a_run_that_cannot_be_logged_does_not_begin(server, config, tmp_path):
    server.down = True
    with pytest.raises(UsageError, match="MLflow at .* cannot be used"):
        run_training(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
