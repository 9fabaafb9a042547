"""The progress display of a training run, on standard error."""

from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dfjax.console import StatusLine, make_console, one_line
from dfjax.training.stopping import EarlyStop


class Display:
    """Shows a progress bar with loss, learning rate and clips/s, and one line per epoch.

    Args:
        total_steps: Number of steps of the run.
        step: Number of steps that are already done.
    """

    def __init__(self, total_steps: int, step: int = 0) -> None:
        self.console = make_console()
        self.line = StatusLine()
        self.total_steps = total_steps
        self.status = "compiling"
        self.progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task(
            "", total=total_steps, completed=step, status="compiling"
        )

    def __enter__(self) -> "Display":
        self.progress.start()
        self.line.write(self.status)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.progress.stop()
        self.line.clear()

    def advance(self, step: int) -> None:
        """Moves the bar to `step`."""
        self.progress.update(self.task, completed=step)
        self.line.write(f"step {step}/{self.total_steps} · {self.status}")

    def log(self, values: dict[str, float]) -> None:
        """Shows the newest training metrics beside the bar."""
        self.status = (
            f"loss {values['loss']:.4f} · lr {values['learning_rate']:.1e} · "
            f"{values['clips_per_s']:.1f} clips/s"
        )
        self.progress.update(self.task, status=self.status)

    def epoch(self, row: dict[str, Any], stop: EarlyStop, epochs: int) -> None:
        """Prints the line of a finished epoch."""
        mark = "best so far" if row["best"] else f"best {stop.best:.4f} at epoch {stop.best_epoch}"
        names = dict.fromkeys(("loss", stop.metric))  # once, where the loss is monitored
        values = " · ".join(f"val {name} {row[f'val_{name}']:.4f}" for name in names)
        self.line.clear()
        self.console.print(
            f"epoch {row['epoch']}/{epochs} · loss {row['train_loss']:.4f} · {values} ({mark}) · "
            f"{row['seconds']:.0f} s"
        )

    def say(self, message: str) -> None:
        """Prints one line above the bar."""
        self.line.clear()
        self.console.print(one_line(message), markup=False)
