"""The metrics of a run: `metrics.jsonl`, `history.csv`, TensorBoard scalars and MLflow."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from dfjax.files import atomic_path, check_regular
from dfjax.json_files import parse_json
from dfjax.text_tables import check_numbers
from dfjax.training.mlflow_run import MlflowRun

ROW = {"step": int, "epoch?": int}
"""Schema of a row of `metrics.jsonl`, as far as a resumed run reads it."""


REMEDY = "remove that line or the file: it is a log and no run depends on it"


class MetricWriter:
    """Writes the metrics of one workdir.

    Args:
        workdir: Folder of the run.
        step: Step that a resumed run starts from. Rows of later steps are removed, since these
            steps are computed again.
        tensorboard: Whether `tensorboard/` is written too.
        epochs: Number of epochs that the resumed run has finished. Rows of the validation of later
            epochs are removed: a run can end between writing them and saving, at the same step.

    Attributes:
        mlflow: Run in MLflow that rows are logged to as well, or None.
    """

    mlflow: MlflowRun | None = None

    def __init__(
        self, workdir: Path, *, step: int, tensorboard: bool, epochs: int | None = None
    ) -> None:
        most = math.inf if epochs is None else epochs
        self.history_path = workdir / "history.csv"
        jsonl = workdir / "metrics.jsonl"
        rows = [
            row
            for row in read_jsonl(jsonl)
            if row["step"] <= step and (row.get("split") != "val" or row.get("epoch", 0) <= most)
        ]
        _replace(jsonl, "".join(json.dumps(row) + "\n" for row in rows))
        self.file = jsonl.open("a", encoding="utf-8")
        self.history = [
            row
            for row in read_history(self.history_path)
            if int(row["step"]) <= step and int(row["epoch"]) <= most
        ]
        self.tensorboard = None
        if tensorboard:
            folder = workdir / "tensorboard"
            self.tensorboard = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, split: str, step: int, epoch: int, values: dict[str, float]) -> None:
        """Appends one row for `split` (`train`, `val`) and flushes it."""
        finite = {key: value for key, value in values.items() if math.isfinite(value)}
        row = {"step": step, "epoch": epoch, "split": split}
        row |= {key: finite.get(key) for key in values}
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        if self.tensorboard:
            for key, value in finite.items():
                self.tensorboard.add_scalar(f"{split}/{key}", value, step)
        if self.mlflow:
            self.mlflow.write(split, step, finite)

    def write_epoch(self, row: dict[str, Any]) -> None:
        """Appends one epoch to `history.csv`; the whole file is replaced atomically."""
        self.history.append(row)
        fields = list(dict.fromkeys(key for r in self.history for key in r))
        lines = [",".join(fields)]
        lines += [",".join(_cell(r.get(f, "")) for f in fields) for r in self.history]
        _replace(self.history_path, "\n".join(lines) + "\n")

    def close(self) -> None:
        """Flushes and closes the files."""
        self.file.close()
        if self.tensorboard:
            self.tensorboard.close()


class SilentWriter(MetricWriter):
    """Writes nothing: the writer of the processes of a run other than the first one."""

    def __init__(self) -> None:
        """Opens no file."""

    def write(self, split: str, step: int, epoch: int, values: dict[str, float]) -> None:
        """Does nothing."""

    def write_epoch(self, row: dict[str, Any]) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a JSON-lines file, without an incomplete last line.

    Raises:
        FileError: A line is damaged.
    """
    if not path.exists():
        return []
    check_regular(path)
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    complete = enumerate(lines[:-1], 1)  # text after the last newline is a line cut short by a kill
    return [
        parse_json(line, ROW, name=f"line {number} of {path}", remedy=REMEDY)
        for number, line in complete
    ]


def read_history(path: Path) -> list[dict[str, str]]:
    """Returns the rows of `history.csv`, one per epoch, as text.

    Raises:
        FileError: It is damaged.
    """
    if not path.exists():
        return []
    check_numbers(path, ("epoch", "step"), remedy=REMEDY)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _cell(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _replace(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
