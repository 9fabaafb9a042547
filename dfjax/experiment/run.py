"""The result of a training run: its workdir, summary, history and curves."""

import dataclasses
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dfjax.evaluation.charts.markup import make_row
from dfjax.evaluation.charts.run_charts import draw_history
from dfjax.evaluation.figures.plots import plot_curves
from dfjax.evaluation.figures.style import enable_notebook_display
from dfjax.training.metric_writer import read_jsonl

HISTORY = "history.csv"


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of `dfjax.train`.

    Attributes:
        workdir: Folder of the run.
        summary: `status` (`trained`, or `complete` if it had finished before), `steps`, `epochs`,
            `best_epoch`, the best value of the monitored metric, `seconds`, `parameters`.
    """

    workdir: Path
    summary: dict[str, Any]

    @property
    def history(self) -> pd.DataFrame:
        """Table with the losses, metrics, learning rate and seconds of each epoch."""
        return pd.read_csv(self.workdir / HISTORY)

    @property
    def log(self) -> pd.DataFrame:
        """Table of `metrics.jsonl`: losses, gradients and `clips_per_s` of each logged step."""
        return pd.DataFrame(read_jsonl(self.workdir / "metrics.jsonl"))

    def plot(self) -> Figure:
        """Returns a figure of losses, accuracy and validation metrics by epoch."""
        enable_notebook_display()
        return plot_curves(self.workdir / HISTORY)

    def __repr__(self) -> str:
        reached = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in self.summary.items()
            if key not in ("status", "workdir")
        )
        return f"Run({str(self.workdir)!r}: {self.summary['status']}, {reached})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>"
            for key, value in self.summary.items()
        )
        return f"<table>{rows}</table>{make_row(draw_history(self.history))}"
