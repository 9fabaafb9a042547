"""Decisions taken on validation metrics: best checkpoint, early stop, lower learning rate."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from dfjax.errors import UsageError, unknown

VERDICT_METRICS = ("accuracy", "balanced_accuracy", "f1", "macro_f1", "precision", "recall")
"""Metrics of verdicts at threshold 0.5, in which a constant detector can score well."""


@dataclasses.dataclass
class Monitor:
    """The best value of a validation metric, and the number of epochs since then.

    Attributes:
        metric: Name of the validation metric.
        mode: `max` or `min`.
        patience: Number of epochs without improvement that are tolerated; 0 turns the rule off.
        best: The best value so far, None before the first epoch.
        best_epoch: Epoch of the best value, counted from 1.
        waited: Number of epochs since the last improvement.
    """

    metric: str
    mode: str
    patience: int
    best: float | None = dataclasses.field(default=None, kw_only=True)
    best_epoch: int = dataclasses.field(default=0, kw_only=True)
    waited: int = dataclasses.field(default=0, kw_only=True)

    STATE: ClassVar[tuple[str, ...]] = ("best", "best_epoch", "waited")

    def __post_init__(self) -> None:
        if self.mode not in ("max", "min"):
            raise UsageError(f"mode is 'max' or 'min', not {self.mode!r}")

    @property
    def sign(self) -> int:
        """1 where larger values are better, otherwise -1."""
        return 1 if self.mode == "max" else -1

    def read(self, values: Mapping[str, float]) -> float:
        """Returns the monitored metric.

        Raises:
            UsageError: The metric is not among them, or is undefined on this validation set.
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
                "choose early_stop.metric=loss and early_stop.mode=min"
            )
        return value

    def state(self) -> dict[str, Any]:
        """Returns the state that a checkpoint keeps."""
        return {key: getattr(self, key) for key in self.STATE}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restores the result of `state`; values absent from older checkpoints stay unchanged.

        Raises:
            UsageError: A value is not a number.
        """
        for key in self.STATE:
            value = state.get(key, getattr(self, key))
            if not isinstance(value, int | float | None):
                raise UsageError(
                    f"the checkpoint's {key} of {self.metric} is damaged: {value!r:.60}"
                )
            setattr(self, key, value)


@dataclasses.dataclass
class EarlyStop(Monitor):
    """Chooses the best epoch, and ends the run after `patience` epochs without improvement.

    The best epoch is the one with the best metric. Between equal values, such as two AUCs of 1.0,
    the lower validation loss decides, and between equal losses the later epoch, from `min_epochs`
    on. An epoch whose detector is constant ranks below every other epoch. A detector is constant if
    its scores have no spread or, where the metric depends on verdicts, if nearly all verdicts are
    the same: on balanced data, predicting fake for every video has an F1 of 0.667. Only a better
    metric resets `waited`.

    Attributes:
        min_epochs: Number of epochs before which the run does not stop.
        best_loss: Validation loss of the best epoch.
        best_constant: Whether the detector of the best epoch is constant.
    """

    min_epochs: int = 0
    best_loss: float = dataclasses.field(default=math.inf, kw_only=True)
    best_constant: bool = dataclasses.field(default=False, kw_only=True)

    STATE: ClassVar[tuple[str, ...]] = (*Monitor.STATE, "best_loss", "best_constant")

    def update(self, epoch: int, values: Mapping[str, float]) -> bool:
        """Records the validation metrics of `epoch` and returns whether it is the best so far.

        Args:
            epoch: Number of the epoch, counted from 1.
            values: The monitored metric and, where known, `loss`, `constant_scores` and
                `constant_verdicts` (1 for yes).

        Raises:
            UsageError: The metric is not among them, or is undefined on this validation set.
        """
        value, loss = self.read(values), values.get("loss", math.inf)
        constant = self._is_constant(values)
        rank = self._rank(constant, value)
        before = None if self.best is None else self._rank(self.best_constant, self.best)
        improved = before is None or rank > before
        tied = rank == before and (
            loss < self.best_loss
            or (loss == self.best_loss < math.inf and epoch >= self.min_epochs)
        )
        self.waited = 0 if improved else self.waited + 1
        if improved or tied:
            self.best, self.best_epoch = value, epoch
            self.best_loss, self.best_constant = loss, constant
        return improved or tied

    def should_stop(self, epoch: int) -> bool:
        """Returns whether training ends after `epoch`."""
        return bool(self.patience) and self.waited >= self.patience and epoch >= self.min_epochs

    def _rank(self, constant: bool, value: float) -> tuple[float, float]:
        return (0.0 if constant else 1.0, self.sign * value)

    def _is_constant(self, values: Mapping[str, float]) -> bool:
        verdicts = self.metric in VERDICT_METRICS and values.get("constant_verdicts", 0.0)
        return bool(values.get("constant_scores", 0.0) or verdicts)


@dataclasses.dataclass
class Plateau(Monitor):
    """Lowers the learning rate when a validation metric has stopped improving.

    With the rule `torch` (`torch.optim.lr_scheduler.ReduceLROnPlateau`) an improvement is a value
    better than the best one by a relative 1e-4; the rate is lowered after more than `patience`
    epochs without improvement, and changes of at most 1e-8 are not made. With the rule `keras`
    (`keras.callbacks.ReduceLROnPlateau`) an improvement is a value better than the best one by
    1e-4, and the rate is lowered after `patience` epochs. Neither has a cooldown.

    Attributes:
        rule: `torch` or `keras`.
        factor: Factor by which the learning rate is multiplied.
        floor: Smallest product of the factors, as a fraction of the learning rate.
    """

    rule: str = "torch"
    factor: float = 0.5
    floor: float = 0.0

    THRESHOLD: ClassVar[float] = 1e-4
    SMALLEST_CHANGE: ClassVar[float] = 1e-8  # of the learning rate, in torch

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in ("torch", "keras"):
            raise unknown("plateau.rule", self.rule, ("torch", "keras"))

    def update(self, epoch: int, values: Mapping[str, float]) -> bool:
        """Records the validation metrics of `epoch` and returns whether they are an improvement.

        Raises:
            UsageError: The metric is not among them, or is undefined on this validation set.
        """
        value = self.read(values)
        improved = self.best is None or self._is_better(value, self.best)
        if improved:
            self.best, self.best_epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return improved

    def _is_better(self, value: float, best: float) -> bool:
        if self.rule == "torch":
            return self.sign * value > self.sign * best * (1.0 + self.sign * self.THRESHOLD)
        return self.sign * value > self.sign * best + self.THRESHOLD

    def next_scale(self, scale: float, learning_rate: float) -> float:
        """Returns the scale of the learning rate for the coming epoch; call it after `update`.

        Args:
            scale: The scale so far.
            learning_rate: Learning rate of the schedule, without the scale.
        """
        due = self.waited > self.patience if self.rule == "torch" else self.waited >= self.patience
        if not self.patience or not due:
            return scale
        lower = max(scale * self.factor, self.floor)
        change = (scale - lower) * learning_rate
        self.waited = 0
        if lower >= scale or (self.rule == "torch" and change <= self.SMALLEST_CHANGE):
            return scale
        return lower
