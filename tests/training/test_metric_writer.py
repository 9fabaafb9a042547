import json
import os

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dfjax.errors import FileError, UsageError
from dfjax.training.metric_writer import MetricWriter, read_history, read_jsonl


def test_rows_are_flushed_as_they_come(tmp_path):
    writer = MetricWriter(tmp_path, step=0, tensorboard=False)
    writer.write("train", 5, 1, {"loss": 0.25})
    assert read_jsonl(tmp_path / "metrics.jsonl") == [
        {"step": 5, "epoch": 1, "split": "train", "loss": 0.25}
    ]
    writer.close()


@pytest.mark.parametrize("line", ["", "{", "[]", '{"step": "1"}', '{"loss": 1.0}'])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(FileError, match=r"line 2 of .*metrics.jsonl is damaged: .*remove"):
        read_jsonl(tmp_path / "metrics.jsonl")


def test_an_epoch_that_was_validated_but_not_saved_is_written_once(tmp_path):
    for _ in range(2):
        writer = MetricWriter(tmp_path, step=2, tensorboard=False, epochs=0)
        if not read_jsonl(tmp_path / "metrics.jsonl"):
            writer.write("train", 2, 1, {"loss": 0.5})
        writer.write("val", 2, 1, {"loss": 0.25})
        writer.write_epoch({"epoch": 1, "step": 2, "val_loss": 0.25})
        writer.close()
    assert [r["split"] for r in read_jsonl(tmp_path / "metrics.jsonl")] == ["train", "val"]
    assert [r["epoch"] for r in read_history(tmp_path / "history.csv")] == ["1"]


def test_a_resumed_run_drops_what_comes_again_and_a_line_cut_short(tmp_path):
    writer = MetricWriter(tmp_path, step=0, tensorboard=False)
    for step in (1, 2, 3):
        writer.write("train", step, 1, {"loss": float(step)})
        writer.write_epoch({"epoch": step, "step": step, "train_loss": 0.5})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "ep')
    MetricWriter(tmp_path, step=2, tensorboard=False).close()
    assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2]
    writer = MetricWriter(tmp_path, step=2, tensorboard=False)
    writer.write_epoch({"epoch": 3, "step": 3, "train_loss": 0.75})
    writer.close()
    assert [(r["epoch"], r["train_loss"]) for r in read_history(tmp_path / "history.csv")] == [
        ("1", "0.5"),
        ("2", "0.5"),
        ("3", "0.75"),
    ]


def test_values_that_are_not_finite_are_null_in_json(tmp_path):
    writer = MetricWriter(tmp_path, step=0, tensorboard=False)
    writer.write("val", 1, 1, {"video_auc": float("nan")})
    writer.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["video_auc"] is None


def test_tensorboard_reads_the_scalars_back(tmp_path):
    writer = MetricWriter(tmp_path, step=0, tensorboard=True)
    writer.write("train", 3, 1, {"loss": 0.5})
    writer.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(3, 0.5)]


@pytest.mark.parametrize("line", ["{", "null", "[]", '{"loss": 1}', '{"step": "1"}'])
def test_a_damaged_row_is_one_line_that_says_what_to_do(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n' + line + "\n")
    with pytest.raises(UsageError, match="line 2 of .* is damaged: .*remove that line"):
        read_jsonl(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "not enough values"),
        ("epoch,seconds\n", "no column step"),
        ("epoch,step,epoch\n", "no column epoch"),
        ("epoch,step,seconds,best\n1,2,3.5,1\n2,x,4,0\n", "line 3"),
        ("epoch,step,seconds,best\n1,2,3.5\n", "line 2"),
        ('epoch,step,seconds,best\n1,2,3,"0\n', "unexpected end of data"),
        ("epoch,step,seconds,best\n1,2,3,\0\n", "line"),
    ],
)
def test_a_damaged_history_is_one_line_that_says_what_to_do(tmp_path, text, where):
    """It may come with a workdir of somebody else; training and evaluation read it."""
    path = tmp_path / "history.csv"
    assert read_history(path) == []
    path.write_text(text)
    with pytest.raises(UsageError, match=f"history.csv is damaged.*{where}.*remove") as error:
        read_history(path)
    assert "\n" not in str(error.value)
    path.write_text("epoch,step,seconds,best,val_loss\n1,2,3.5,True,\n2,4,7.5,0,nan\n")
    assert [row["step"] for row in read_history(path)] == ["2", "4"]


def test_logs_that_are_pipes_do_not_block(tmp_path):
    for name, read in (("history.csv", read_history), ("metrics.jsonl", read_jsonl)):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UsageError, match=f"{name} is not a file"):
            read(tmp_path / name)
