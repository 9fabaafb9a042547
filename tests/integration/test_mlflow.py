"""A run and its model in a real MLflow with SQLite."""

import collections
import json

import flax.linen as nn
import mlflow
import pytest
from mlflow import MlflowClient

import dfjax
from dfjax.errors import UsageError
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.metric_writer import read_jsonl

pytestmark = pytest.mark.mlflow

SMALL = {
    "writers.mlflow": True, "writers.tensorboard": False, "train.log_every": 1,
    "train.epochs": 2, "data.train_clips": 3, "data.eval_clips": 1, "data.frames": 2,
}  # fmt: skip


class Mean(nn.Module):
    @nn.compact
    def __call__(self, inputs, *, train):
        return nn.Dense(1)(inputs["rgb"].mean(axis=(1, 2, 3)))[:, 0]


@pytest.fixture(autouse=True)
def server(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where MLflow keeps artefacts beside SQLite
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


def train(workdir):
    config = dfjax.load_config("resnet18_bilstm:smoke", SMALL)
    return dfjax.train(config, workdir, model=Mean())


@pytest.mark.slow  # two trainings and an export: 40 s of CPU
def test_a_killed_run_continues_and_its_export_is_a_version(
    compiled_quickly, monkeypatch, tmp_path
):
    workdir, save = tmp_path / "first", Checkpoints.save

    def fail_in_epoch_2(self, kind, step, *arguments):
        if step > 3:
            raise RuntimeError("killed")
        save(self, kind, step, *arguments)

    monkeypatch.setattr(Checkpoints, "save", fail_in_epoch_2)
    with pytest.raises(RuntimeError, match="killed"):
        train(workdir)
    client = MlflowClient()
    run_id = json.loads((workdir / "mlflow.json").read_text())["run_id"]
    assert client.get_run(run_id).info.status == "FAILED"
    assert [m.step for m in client.get_metric_history(run_id, "val/loss")] == [3, 6]
    monkeypatch.setattr(Checkpoints, "save", save)
    train(workdir)  # repeats the steps 4 to 6

    (experiment,) = (e for e in client.search_experiments() if e.name == "dfjax")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    rows = read_jsonl(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows if row["split"] == "train"] == [1, 2, 3, 4, 5, 6]
    wanted = collections.Counter(
        f"{row['split']}/{key}"
        for row in rows
        for key, value in row.items()
        if key not in ("step", "epoch", "split") and value is not None
    )
    for key, count in wanted.items():
        steps = [metric.step for metric in client.get_metric_history(run_id, key)]
        assert len(steps) == len({*steps}) == count, key
    assert run.data.params["train.epochs"] == "2" and run.data.tags["dfjax.data"] == "synthetic"
    uploaded = {file.path for file in client.list_artifacts(run_id)}
    assert uploaded >= {"config.yaml", "history.csv", "curves.png", "versions.json"}

    exported = dfjax.export(workdir, "hub", out=tmp_path / "hub", register="faces")
    assert exported.registered == "models:/faces/1"
    assert client.get_model_version("faces", "1").run_id == run_id
    folder = mlflow.artifacts.download_artifacts(
        exported.registered, dst_path=str(tmp_path / "got")
    )
    assert dfjax.load(folder).checkpoint == exported.checkpoint


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9", "sqlite:///damaged.db", "postgresql://a:b@c/d"]
)
def test_a_server_that_cannot_be_used_ends_the_run_before_it_begins(monkeypatch, tmp_path, uri):
    (tmp_path / "damaged.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UsageError, match="MLflow at .* cannot be used") as error:
        train(tmp_path / "first")
    assert "a:b" not in str(error.value) and not (tmp_path / "first").exists()
