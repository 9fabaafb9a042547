"""Early stopping and the choice of the best checkpoint, on a validation metric only."""

import dataclasses
import math

from dfjax.errors import UsageError


@dataclasses.dataclass
class EarlyStop:
    """Keeps the best value of a validation metric and says when patience ran out.

    Attributes:
        metric: name of the validation metric.
        mode: `max` or `min`.
        patience: epochs without improvement before stopping; 0 never stops.
        min_epochs: epochs that are trained in any case.
        best: the best value so far, None before the first epoch.
        best_epoch: its epoch, from 1.
        waited: epochs since then.
    """

    metric: str
    mode: str
    patience: int
    min_epochs: int = 0
    best: float | None = None
    best_epoch: int = 0
    waited: int = 0

    def __post_init__(self) -> None:
        if self.mode not in ("max", "min"):
            raise UsageError(f"early_stop.mode is 'max' or 'min', not {self.mode!r}")

    def update(self, epoch: int, values: dict[str, float]) -> bool:
        """Takes the validation metrics of `epoch` and returns whether they are the best so far.

        Raises:
            UsageError: the metric is not among them, or is undefined on this validation set.
        """
        if self.metric not in values:
            raise UsageError(
                f"early_stop.metric={self.metric!r} is not a validation metric; there are: "
                f"{', '.join(sorted(values))}"
            )
        value = values[self.metric]
        if math.isnan(value):
            raise UsageError(
                f"early_stop.metric={self.metric!r} is undefined on the validation set (one class "
                "only?); choose --config.early_stop.metric=loss --config.early_stop.mode=min"
            )
        sign = 1 if self.mode == "max" else -1
        improved = self.best is None or sign * value > sign * self.best
        if improved:
            self.best, self.best_epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return improved

    def should_stop(self, epoch: int) -> bool:
        """Returns whether training ends after `epoch`."""
        return bool(self.patience) and self.waited >= self.patience and epoch >= self.min_epochs

    def state(self) -> dict[str, float | int | None]:
        """Returns what a checkpoint keeps."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state(self, state: dict[str, float | int | None]) -> None:
        """Takes back what `state` gave."""
        for key in ("best", "best_epoch", "waited"):
            setattr(self, key, state[key])
