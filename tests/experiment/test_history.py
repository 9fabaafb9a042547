"""Tests the table of epochs, and the warning for validation metrics that are suspiciously good."""

import io

import pytest
from rich.console import Console

from dfjax.experiment.history import SHOWN, make_history_table, print_history, show_epoch

HEADER = (
    "epoch,step,train_loss,train_accuracy,val_loss,val_video_auc,val_accuracy,val_f1,"
    "learning_rate,seconds,best\n"
)


def write(folder, *rows):
    (folder / "history.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return folder


def printed(folder, metric):
    console = Console(file=io.StringIO(), width=200)
    print_history(folder, metric, console)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_every_epoch_has_its_own_seconds_and_the_best_is_marked(tmp_path):
    write(
        tmp_path,
        "1,4,0.7,0.5,0.69,0.55,0.5,0.4,0.001,12.5,1",
        "2,8,0.5,0.75,0.55,0.8,0.75,0.7,0.001,20.0,1",
        "3,12,0.4,0.875,0.6,nan,0.5,0.6,0.0001,26.0,0",
    )
    _, first, second, third = printed(tmp_path, "f1")
    assert first == "1 0.7000 0.500 0.6900 0.500 0.550 1.00e-03 12.5 0.4000".split()
    assert second == "2 0.5000 0.750 0.5500 0.750 0.800 1.00e-03 7.5 0.7000 best".split()
    assert third == "3 0.4000 0.875 0.6000 0.500 nan 1.00e-04 6.0 0.6000".split()


def test_a_metric_that_is_there_anyway_gets_no_second_column(tmp_path):
    write(tmp_path, "1,4,0.7,0.5,0.69,0.55,0.5,0.4,0.001,12.5,1")
    assert printed(tmp_path, "loss")[1][-2:] == ["12.5", "best"]


def test_a_long_run_shows_its_end_and_its_best_epoch(tmp_path):
    row = {"train_loss": "0.5", "seconds": "1", "best": "0"}
    rows = [{**row, "epoch": str(n), "best": "1" if n == 3 else "0"} for n in range(1, 101)]
    table = make_history_table(rows, "loss")
    assert table.row_count == SHOWN + 1
    cells = list(table.columns[0].cells)
    assert cells[:2] == ["3", str(101 - SHOWN)]


def test_a_history_without_seconds_and_best_is_shown(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,step,train_loss\n1,4,0.7\n2,8,0.6\n")
    assert printed(tmp_path, "loss")[1][:2] == ["1", "0.7000"]


def test_a_run_that_saw_no_epoch_prints_nothing(tmp_path):
    assert printed(tmp_path, "loss") == []


@pytest.mark.parametrize(
    ("aucs", "warned"), [([0.995], 1), ([0.6, 1.0], 1), ([0.995, 0.995], 0), ([0.6, 0.6, 1.0], 0)]
)
def test_near_perfect_validation_is_warned_of_once_and_only_in_the_first_epochs(
    tmp_path, aucs, warned
):
    rows = [f"{n},4,0.7,0.5,0.6,{auc},0.5,0.4,0.001,1,0" for n, auc in enumerate(aucs, 1)]
    lines = []
    show_epoch(write(tmp_path, *rows), lines.append)
    assert len(lines) == warned
    assert all("look for a shortcut" in line for line in lines)
