"""What validation decides: the best checkpoint, when to stop, when to lower the learning rate."""

import dataclasses
import math

from dfjax.errors import UsageError

STATE = ("best", "best_epoch", "waited")


@dataclasses.dataclass
class Monitor:
    """Keeps the best value of a validation metric and how long ago it was.

    Attributes:
        metric: name of the validation metric.
        mode: `max` or `min`.
        patience: epochs without improvement before something is done; 0 for never.
        best: the best value so far, None before the first epoch.
        best_epoch: its epoch, from 1.
        waited: epochs since then.
    """

    metric: str
    mode: str
    patience: int
    best: float | None = dataclasses.field(default=None, kw_only=True)
    best_epoch: int = dataclasses.field(default=0, kw_only=True)
    waited: int = dataclasses.field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        if self.mode not in ("max", "min"):
            raise UsageError(f"mode is 'max' or 'min', not {self.mode!r}")

    def update(self, epoch: int, values: dict[str, float]) -> bool:
        """Takes the validation metrics of `epoch` and returns whether they are the best so far.

        Raises:
            UsageError: the metric is not among them, or is undefined on this validation set.
        """
        if self.metric not in values:
            raise UsageError(
                f"metric {self.metric!r} is not a validation metric; there are: "
                f"{', '.join(sorted(values))}"
            )
        value = values[self.metric]
        if math.isnan(value):
            raise UsageError(
                f"metric {self.metric!r} is undefined on the validation set (one class only?); "
                "choose --config.early_stop.metric=loss --config.early_stop.mode=min"
            )
        sign = 1 if self.mode == "max" else -1
        improved = self.best is None or sign * value > sign * self.best
        if improved:
            self.best, self.best_epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return improved

    def state(self) -> dict[str, float | int | None]:
        """Returns what a checkpoint keeps."""
        return {key: getattr(self, key) for key in STATE}

    def load_state(self, state: dict[str, float | int | None]) -> None:
        """Takes back what `state` gave."""
        for key in STATE:
            setattr(self, key, state[key])


@dataclasses.dataclass
class EarlyStop(Monitor):
    """Says which epoch is the best, and when patience ran out.

    Attributes:
        min_epochs: epochs that are trained in any case.
    """

    min_epochs: int = 0

    def should_stop(self, epoch: int) -> bool:
        """Returns whether training ends after `epoch`."""
        return bool(self.patience) and self.waited >= self.patience and epoch >= self.min_epochs


@dataclasses.dataclass
class Plateau(Monitor):
    """Lowers the learning rate when a validation metric has not improved for `patience` epochs.

    Attributes:
        factor: what the learning rate is multiplied with.
        floor: the product of the factors goes no lower; a fraction of the learning rate.
    """

    factor: float = 0.5
    floor: float = 0.0

    def next_scale(self, scale: float) -> float:
        """Returns the scale for the coming epoch; call after `update`."""
        if not self.patience or self.waited < self.patience:
            return scale
        self.waited = 0
        return max(scale * self.factor, self.floor)
