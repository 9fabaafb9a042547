import contextlib
from types import SimpleNamespace

import pandas as pd
import pytest
from mlflow_server import Server

from dfjax.config import load_config
from dfjax.errors import RunError, UsageError
from dfjax.experiment import mlflow_log
from dfjax.experiment.mlflow_log import RunLog, connect_first, list_params
from dfjax.experiment.phases import Phase, train_phases
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
    log = RunLog(connect_first(config), workdir, workdir)
    with contextlib.closing(writer), log.logged(config, workdir, INDEX, writer):
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
    log = RunLog(connect_first(config), tmp_path, tmp_path)
    writer = MetricWriter(tmp_path, step=0, tensorboard=False)
    with pytest.raises(Stopped), log.logged(config, tmp_path, INDEX, writer):
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


def train(server, phases, *, required=True, lose=()):
    """Trains phases of one step each; the server is lost in the phases in `lose`."""
    config, workdir = phases[-1]
    trained = []
    log = RunLog(connect_first(config, required=required), workdir, workdir, required=required)

    def run_phase(config, workdir):
        trained.append(workdir.name)
        writer = MetricWriter(workdir, step=0, tensorboard=False)
        with contextlib.closing(writer), log.logged(config, workdir, INDEX, writer):
            (workdir / "config.json").touch()
            server.down = workdir.name in lose
            writer.write("train", 1, 1, {"loss": 0.5})
        return {"status": "trained"}

    summary = train_phases(phases, run_phase)
    log.finish(phases)
    return trained, summary


@pytest.fixture
def phases(config, tmp_path, monkeypatch):
    data = SimpleNamespace(index=INDEX)
    monkeypatch.setattr(mlflow_log.run_data, "open_data", lambda config, workdir: data)
    config = config.copy_and_resolve_references().unlock()
    config.phases = (("train.epochs=1",), ("train.epochs=1",))
    folders = [tmp_path / "run" / name for name in ("phase1", "phase2", "")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return [Phase(config, folder) for folder in folders]


def find_states(server):
    return {run.name: (run.info.status, len(run.metrics)) for run in server.runs.values()}


FINISHED = {name: ("FINISHED", 1) for name in ("run/phase1", "run/phase2", "run")}


def test_a_server_that_is_lost_in_a_phase_does_not_stop_the_next(server, phases):
    with pytest.raises(RunError, match="run is saved, but not in MLflow; the same call logs it"):
        train(server, phases, lose=("phase1", "phase2", "run"))
    assert [(phase.workdir / "metrics.jsonl").stat().st_size > 0 for phase in phases] == [True] * 3
    assert find_states(server) == {"run/phase1": ("RUNNING", 0)}
    server.down = False
    assert train(server, phases) == (["run"], {"status": "trained"})
    assert find_states(server) == FINISHED


def test_what_a_lost_server_lacks_is_logged_when_it_is_there_again(server, phases):
    trained, _ = train(server, phases, lose=("phase2",))
    assert trained == ["phase1", "phase2", "run"] and find_states(server) == FINISHED
    train(server, phases)
    assert find_states(server) == FINISHED and len(server.runs) == 3


def test_a_study_goes_on_without_a_server(server, phases, capsys):
    _, summary = train(server, phases, required=False, lose=("run",))
    assert summary == {"status": "trained"}
    assert "warning: the run is saved, but MLflow at" in capsys.readouterr().err
    server.down = True
    _, summary = train(server, phases, required=False)
    assert summary == {"status": "trained"}
    assert "warning: MLflow at sqlite:///runs.db cannot be used" in capsys.readouterr().err
    assert train(server, phases, required=False)[0] == ["run"] and find_states(server) == FINISHED


def test_a_run_in_a_store_is_named_by_its_url(server, config, tmp_path):
    folder = tmp_path / "copies" / "0a1b2c"
    log = RunLog(connect_first(config), folder, "gs://bucket/runs/first")
    for workdir in (folder, folder / "phase1"):
        workdir.mkdir(parents=True)
        writer = MetricWriter(workdir, step=0, tensorboard=False)
        with contextlib.closing(writer), log.logged(config, workdir, INDEX, writer):
            pass
    names = {run.name: run.tags["dfjax.workdir"] for run in server.runs.values()}
    assert names == {
        "first": "gs://bucket/runs/first", "first/phase1": "gs://bucket/runs/first/phase1",
    }  # fmt: skip
