import json
import sys

import pytest
from mlflow_server import Client, MlflowException, Server

from dfjax.errors import FileError, RunError, UsageError
from dfjax.training import mlflow_run
from dfjax.training.metric_writer import MetricWriter, read_jsonl
from dfjax.training.mlflow_connection import connect
from dfjax.training.mlflow_run import MlflowRun, is_finished


@pytest.fixture
def server(monkeypatch):
    return Server(monkeypatch)


def start(workdir, params=None, tags=None):
    return MlflowRun(connect(), workdir, name="first", params=params or {}, tags=tags or {})


def steps(server, key, number=0):
    run = [*server.runs.values()][number]
    return [metric.step for metric in run.metrics if metric.key == key]


def train(workdir, steps, *, begin):
    """Writes steps as a run does that starts from the checkpoint of the step `begin`."""
    writer = MetricWriter(workdir, step=begin, tensorboard=False)
    run = start(workdir)
    run.write_rows(read_jsonl(workdir / "metrics.jsonl"))
    writer.mlflow = run
    for step in steps:
        writer.write("train", step, 1, {"loss": 1 / step, "clips_per_s": float("nan")})
    writer.close()
    return run


def test_a_run_has_parameters_tags_metrics_and_files(server, tmp_path):
    (tmp_path / "history.csv").write_text("epoch\n1\n")
    params = {f"model.option_{n}": (n, 0.5) for n in range(250)}  # more than one request takes
    run = start(tmp_path, params, {"mlflow.source.git.commit": "abc"})
    run.write("val", 7, {"video_auc": 0.75})
    run.end("FINISHED", {"history.csv": tmp_path / "history.csv"})
    (made,) = server.runs.values()
    assert (made.name, made.info.status) == ("first", "FINISHED")
    assert made.params == {key: str(value) for key, value in params.items()}
    assert made.tags == {"mlflow.source.git.commit": "abc"}
    assert [(m.key, m.step, m.value) for m in made.metrics] == [("val/video_auc", 7, 0.75)]
    assert made.files == {"history.csv": b"epoch\n1\n"}
    record = json.loads((tmp_path / "mlflow.json").read_text())
    assert record == {
        "run_id": made.info.run_id, "server": "sqlite:///runs.db", "experiment": "dfjax",
        "finished": True,
    }  # fmt: skip


def test_a_resumed_run_continues_the_run_and_logs_no_step_twice(server, tmp_path):
    train(tmp_path, [1, 2, 3, 4, 5], begin=0)  # killed; the last checkpoint is that of step 2
    train(tmp_path, [3, 4, 5, 6], begin=2).end("FINISHED")
    assert len(server.runs) == 1
    assert steps(server, "train/loss") == [1, 2, 3, 4, 5, 6]
    assert steps(server, "train/clips_per_s") == []  # never finite
    assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_parameters_that_a_resumed_run_changes_stay(server, tmp_path):
    start(tmp_path, {"data.workers": 0})
    start(tmp_path, {"data.workers": 8, "train.new": 1})
    (run,) = server.runs.values()
    assert run.params == {"data.workers": "0", "train.new": "1"}


def test_rows_from_before_mlflow_are_logged_in_few_requests(server, tmp_path):
    writer = MetricWriter(tmp_path, step=0, tensorboard=False)
    for step in range(1, 1501):
        writer.write("train", step, 1, {"loss": 0.5})
    writer.close()
    train(tmp_path, [1501], begin=1500)
    assert steps(server, "train/loss") == [*range(1, 1502)]


def test_a_server_that_is_lost_does_not_stop_the_training(server, tmp_path, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(mlflow_run.time, "monotonic", lambda: now[0])
    run = start(tmp_path)
    run.write("train", 1, {"loss": 1.0})
    server.down = True
    for step in (2, 3):
        run.write("train", step, {"loss": 1.0})
    assert steps(server, "train/loss") == [1]
    message = capsys.readouterr().err
    assert message.count("warning: MLflow at sqlite:///runs.db cannot be written") == 1
    assert "and more" not in message and "1 values are kept and sent later" in message
    server.down, now[0] = False, 30.0
    run.write("train", 4, {"loss": 1.0})
    assert steps(server, "train/loss") == [1]  # it is tried again after a minute
    now[0] = 60.0
    run.write("train", 5, {"loss": 1.0})
    assert steps(server, "train/loss") == [1, 2, 3, 4, 5]


def test_what_a_lost_server_lacks_is_an_error_and_logged_by_the_same_call(server, tmp_path):
    run = train(tmp_path, [1], begin=0)
    server.down = True
    run.write("train", 2, {"loss": 1.0})
    with pytest.raises(RunError, match="does not have all of it .*the same call logs the rest"):
        run.end("FINISHED")
    assert not is_finished(tmp_path)
    server.down = False
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "split": "train", "loss": 1.0}\n{"step": 2, "split": "train", "loss": 1.0}\n'
    )
    train(tmp_path, [], begin=2).end("FINISHED")
    assert steps(server, "train/loss") == [1, 2] and is_finished(tmp_path)
    start(tmp_path)
    assert not is_finished(tmp_path)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"MLflow is not installed: pip install 'dfjax\[mlflow\]'"):
        connect()


def test_a_server_that_cannot_be_reached_is_named_without_its_password(monkeypatch):
    Server(monkeypatch, uri="http://user:secret@localhost:9").down = True
    with pytest.raises(UsageError, match=r"http://localhost:9 cannot be used .*TRACKING_URI") as e:
        connect()
    assert "secret" not in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", FileError, "is damaged"),
        ('{"run_id": 3}', FileError, "run_id"),
        ('{"run_id": "../1", "server": "", "experiment": ""}', UsageError, "names no run"),
        ('{"run_id": "9", "server": "", "experiment": ""}', UsageError, "id=9 not found"),
    ],
)
def test_a_record_that_names_no_run_says_what_to_do(server, tmp_path, text, error, message):
    """It may come with a workdir of somebody else."""
    (tmp_path / "mlflow.json").write_text(text)
    with pytest.raises(
        error, match=f"{message}.*remove .*mlflow.json to log to a new run"
    ) as found:
        start(tmp_path)
    assert "\n" not in str(found.value) and not server.runs


def test_a_run_that_was_deleted_is_not_continued(server, tmp_path):
    start(tmp_path)
    [*server.runs.values()][0].info.lifecycle_stage = "deleted"
    with pytest.raises(UsageError, match="was deleted in MLflow; remove"):
        start(tmp_path)


def test_the_variable_names_the_experiment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "faces")
    start(tmp_path)
    start(tmp_path)
    assert server.experiments == {"faces": "1"}


def test_two_runs_that_start_at_once_share_the_experiment(server, monkeypatch):
    answers, find = [None], Client.get_experiment_by_name

    def find_late(self, name):
        return answers.pop() if answers else find(self, name)

    monkeypatch.setattr(Client, "get_experiment_by_name", find_late)
    server.experiments["dfjax"] = "7"  # the other run has made it since this one asked
    assert connect().experiment_id == "7"


def test_an_experiment_that_cannot_be_made_is_an_error(server, monkeypatch):
    def fail(self, name):
        raise MlflowException("not allowed", "PERMISSION_DENIED")

    monkeypatch.setattr(Client, "create_experiment", fail)
    with pytest.raises(UsageError, match=r"cannot be used \(not allowed\)"):
        connect()
